package store

// This file watches one Redis: does it answer as a primary, and does it hold our data?

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"syscall"
	"time"
)

const (
	// monitorInterval is the time between two looks. With probeTimeout it bounds how late a change is noticed: a marker lost within 2 s, a
	// server that became a replica or hangs within 5 s.
	monitorInterval = time.Second
	probeTimeout    = time.Second
)

// State is what a Monitor knows of its Redis.
type State struct {
	Up          bool      // it answers as a primary
	Initialized bool      // it answered last that it has the schema marker; false before the first answer
	Err         error     // why not both; nil where all is well
	Since       time.Time // when this state began
}

// Monitor looks at a Redis every second.
type Monitor struct {
	store  *Store
	logger *slog.Logger

	mu    sync.Mutex
	state State
}

// errNotAsked is the state before the first look.
var errNotAsked = errors.New("redis has not been asked yet")

// NewMonitor returns a Monitor of st; Run makes it look.
func NewMonitor(st *Store, logger *slog.Logger) *Monitor {
	return &Monitor{store: st, logger: logger, state: State{Err: errNotAsked, Since: time.Now()}}
}

// State returns what is known now. Before the first look it is neither up nor initialized.
func (m *Monitor) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// Run looks each second until ctx is done, and says each change of state in one log line. At the first contact it gives advice on how
// Redis is set up.
func (m *Monitor) Run(ctx context.Context) {
	defer m.store.metrics.forget(m)
	advised := false
	tick := time.NewTicker(monitorInterval)
	defer tick.Stop()
	for {
		s := m.look(ctx)
		if ctx.Err() != nil {
			return
		}
		m.set(s)
		m.store.metrics.observeState(m, s)
		if s.Up && !advised {
			advised = true
			for _, line := range m.store.advice(ctx) {
				m.logger.Warn(line)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look asks once. That a hanging server was initialized is still what was known last.
func (m *Monitor) look(ctx context.Context) State {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	s, marked, err := m.store.probe(ctx)
	switch {
	case gone(err): // the server ended or was restarted: every connection that is still in a pool has ended, too
		m.store.conns.drop()
		return State{Initialized: m.State().Initialized, Err: err}
	case err != nil:
		return State{Initialized: m.State().Initialized, Err: err}
	case isReplica(s):
		return State{Initialized: m.State().Initialized, Err: ErrReplica}
	case !marked:
		return State{Up: true, Err: ErrNotInitialized}
	}
	return State{Up: true, Initialized: true}
}

// probe asks for role and marker in one round trip. A server found to be a replica loses all its connections: those that were open when
// it became one go on answering reads.
func (s *Store) probe(ctx context.Context) (server, bool, error) {
	if s.cluster { // a replica of a Cluster sends us to its primary by itself
		marked, err := s.hasMarker(ctx)
		return server{role: "master"}, marked, err
	}
	pipe := s.client.Pipeline()
	hello := pipe.Do(ctx, "hello", "3")
	marker := pipe.Get(ctx, s.names.Schema())
	_, _ = pipe.Exec(ctx) // each command has its own error
	v, err := hello.Result()
	if err != nil {
		return server{}, false, fmt.Errorf("asking redis for its role: %w", err)
	}
	sv := readServer(v)
	if isReplica(sv) {
		s.conns.drop()
		return sv, false, nil
	}
	marked, err := readMarker(marker)
	return sv, marked, err
}

// gone says whether the other end has closed the connection, or is no more.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED)
}

// set keeps a state and says whether it is a new one. Errors differ in their details from look to look; what counts is their kind.
func (m *Monitor) set(s State) {
	m.mu.Lock()
	before := m.state
	s.Since = before.Since
	changed := s.Up != before.Up || s.Initialized != before.Initialized || kind(s.Err) != kind(before.Err)
	if changed {
		s.Since = time.Now()
	}
	m.state = s
	m.mu.Unlock()
	if !changed {
		return
	}
	log := m.logger.With("redis", m.store.addr)
	lasted := s.Since.Sub(before.Since).Round(time.Millisecond)
	switch kind(s.Err) {
	case noTrouble:
		log.Info("redis answers", "after", lasted)
	case noData:
		log.Error("redis holds no tenzo data: the schema marker is missing or of another version; `tenzo-gateway init` marks a new, empty store", "after", lasted)
	case replica:
		log.Error("redis answers as a replica, which counts as no answer", "after", lasted)
	case notAsked: // the first state alone
	case silent:
		log.Error("redis gives no answer", "error", s.Err, "after", lasted)
	}
}

// trouble sorts the errors of a State.
type trouble int

const (
	noTrouble trouble = iota
	notAsked
	noData
	replica
	silent
)

func kind(err error) trouble {
	switch {
	case err == nil:
		return noTrouble
	case errors.Is(err, errNotAsked):
		return notAsked
	case errors.Is(err, ErrNotInitialized):
		return noData
	case errors.Is(err, ErrReplica):
		return replica
	}
	return silent
}
