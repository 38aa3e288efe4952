// Package embedded is the trial Redis that lives in the process: miniredis on loopback, in memory only (contract section 4). It is never a
// default of the binary; somebody has to say `embedded`.
package embedded

import (
	"fmt"
	"log/slog"

	"github.com/alicebob/miniredis/v2"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// DefaultAddr is where the embedded server listens unless TENZO_EMBEDDED_ADDR moves it.
const DefaultAddr = store.EmbeddedAddr

// Server is a running embedded Redis.
type Server struct {
	mini *miniredis.Miniredis
}

// Start starts a server on addr, marks it as a tenzo store, and says once, plainly, what it is not.
func Start(addr string, logger *slog.Logger) (*Server, error) {
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

// Addr is the address that the server listens on.
func (s *Server) Addr() string { return s.mini.Addr() }

// URL is the URL that clients reach the server by.
func (s *Server) URL() string { return "redis://" + s.mini.Addr() }

// Close stops the server; what it holds is gone.
func (s *Server) Close() { s.mini.Close() }
