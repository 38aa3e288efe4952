// Package embedded is the trial Redis that lives in the process: miniredis on loopback, in memory
// only (specification.md, section 4). It is never a default of the binary; somebody has to say
// `embedded`.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/alicebob/miniredis/v2"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Server is a running embedded Redis.
type Server struct {
	mini *miniredis.Miniredis
}

// Start starts a server on addr, a loopback address with a port, marks it as a tenzo store with the
// default prefix, and says once, plainly, what it is not.
func Start(addr string, logger *slog.Logger) (*Server, error) {
	if err := checkLoopback(addr); err != nil {
		return nil, err
	}
	mini := miniredis.NewMiniRedis()
	mini.ClockTTL(true) // keys with a time to live expire by the clock, as in Redis
	if err := mini.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	if err := mini.Set(store.NewNames(store.DefaultPrefix).Schema(), store.SchemaVersion); err != nil {
		mini.Close()
		return nil, fmt.Errorf("marking the embedded redis: %w", err)
	}
	logger.Warn("embedded redis started: it lives in memory, for trial; keys, counts and events are gone when this process ends", "address", mini.Addr())
	return &Server{mini: mini}, nil
}

// URL is the URL that clients reach the server by; it names the port where Start was given none.
func (s *Server) URL() string { return "redis://" + s.mini.Addr() }

// Close stops the server; what it holds is gone.
func (s *Server) Close() { s.mini.Close() }

// checkLoopback refuses every other address: the server has no password, and whoever reaches it
// owns every key.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("the embedded redis needs an address such as %s", store.EmbeddedAddr)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return errors.New("the embedded redis has no password and listens on loopback only, such as " + store.EmbeddedAddr)
	}
	return nil
}
