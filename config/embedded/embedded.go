// Package embedded is the trial Redis that lives in the process: miniredis on loopback, in memory only (contract section 4). It is never a
// default of the binary; somebody has to say `embedded`.
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

// DefaultAddr is where the embedded server listens unless TENZO_EMBEDDED_ADDR moves it.
const DefaultAddr = store.EmbeddedAddr

// Server is a running embedded Redis.
type Server struct {
	mini *miniredis.Miniredis
}

// Start starts a server on addr, a loopback address with a port, marks it as a tenzo store with the default prefix, and says once, plainly,
// what it is not.
func Start(addr string, logger *slog.Logger) (*Server, error) {
	if err := checkLoopback(addr); err != nil {
		return nil, err
	}
	mini := miniredis.NewMiniRedis()
	mini.ClockTTL(true) // keys with a time to live expire by the clock, as in Redis
	if err := mini.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("listening on %s: %w", addr, err)
	}
	s := &Server{mini: mini}
	if err := s.Mark(store.DefaultPrefix); err != nil {
		mini.Close()
		return nil, err
	}
	logger.Warn("embedded redis started: it lives in memory, for trial; keys, counts and events are gone when this process ends", "address", mini.Addr())
	return s, nil
}

// Mark writes the schema marker of a store with another prefix.
func (s *Server) Mark(prefix string) error {
	if err := s.mini.Set(store.NewNames(prefix).Schema(), store.SchemaVersion); err != nil {
		return fmt.Errorf("marking the embedded redis: %w", err)
	}
	return nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.mini.Addr() }

// URL is the URL that clients reach the server by.
func (s *Server) URL() string { return "redis://" + s.mini.Addr() }

// Close stops the server; what it holds is gone.
func (s *Server) Close() { s.mini.Close() }

// checkLoopback refuses every other address: the server has no password, and whoever reaches it owns every key.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("the embedded redis needs an address such as %s", DefaultAddr)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return errors.New("the embedded redis has no password and listens on loopback only, such as " + DefaultAddr)
	}
	return nil
}
