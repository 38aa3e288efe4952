package store

// This file watches one Redis: whether it answers as a primary, holds our data and accepts writes.

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
	// monitorInterval is the time between two probes. With probeTimeout it bounds how late a change
	// is noticed: a lost marker within 2 s, a server that became a replica or hangs within 5 s.
	monitorInterval = time.Second
	probeTimeout    = time.Second
)

// State is what a Monitor knows about its Redis.
type State struct {
	Up          bool      // it answers as a primary
	Initialized bool      // its last answer was that the marker is there; false before the first
	Err         error     // not Up, not Initialized, or it refuses writes; nil if nothing is wrong
	Since       time.Time // when this state began
}

// Monitor probes a Redis every second.
type Monitor struct {
	store  *Store
	logger *slog.Logger

	mu    sync.Mutex
	state State
}

// errNotAsked is the error before the first probe.
var errNotAsked = errors.New("redis has not been asked yet")

// NewMonitor returns a Monitor of st; Run makes it probe.
func NewMonitor(st *Store, logger *slog.Logger) *Monitor {
	return &Monitor{store: st, logger: logger, state: State{Err: errNotAsked, Since: time.Now()}}
}

// State returns the present state. Before the first probe it is neither up nor initialized.
func (m *Monitor) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

// Run probes each second until ctx is done, and logs one line for each change of state. At the
// first contact it gives advice on how Redis is set up.
func (m *Monitor) Run(ctx context.Context) {
	defer m.store.metrics.forget(m)
	advised := false
	tick := time.NewTicker(monitorInterval)
	defer tick.Stop()
	for {
		s := m.probe(ctx)
		if ctx.Err() != nil {
			return
		}
		m.set(s)
		m.store.metrics.observeState(m, s)
		if s.Up && !advised {
			advised = true
			for _, line := range m.store.setupAdvice(ctx) {
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

// probe asks Redis once. A server that does not answer keeps the Initialized of the state before.
func (m *Monitor) probe(ctx context.Context) State {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	s, initialized, err := m.store.probe(ctx)
	switch {
	// The server ended or restarted: every pooled connection has ended too.
	case connectionLost(err):
		m.store.conns.drop()
		return State{Initialized: m.State().Initialized, Err: err}
	case err != nil:
		return State{Initialized: m.State().Initialized, Err: err}
	case isReplica(s):
		return State{Initialized: m.State().Initialized, Err: ErrReplica}
	case !initialized:
		return State{Up: true, Err: ErrNotInitialized}
	}
	return State{Up: true, Initialized: true, Err: m.store.probeWrite(ctx)}
}

// probe asks for role and marker in one round trip. A server that turns out to be a replica loses
// all its connections: those that were open when it became one would go on answering reads.
func (s *Store) probe(ctx context.Context) (server, bool, error) {
	if s.cluster { // a replica of a Cluster redirects us to its primary
		initialized, err := s.hasMarker(ctx)
		return server{role: "master"}, initialized, err
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
	initialized, err := readMarker(marker)
	return sv, initialized, err
}

// probeWrite returns why Redis refuses writes, or nil. It sends a write that changes nothing and is
// neither replicated nor written to the append-only file: Redis checks whether it may write before
// it looks at the text to be set, which is empty. It reaches one primary of a Cluster, which is the
// one with the marker.
func (s *Store) probeWrite(ctx context.Context) error {
	err := s.client.SetRange(ctx, s.names.Schema(), 0, "").Err()
	if !refusesWrites(err) {
		return nil // any other error, a missing right for one, says nothing about other writes
	}
	return err
}

// connectionLost reports whether the other end closed the connection or has ended.
func connectionLost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED)
}

// set stores a state, and logs it if it is a new one. Errors differ in their details from probe to
// probe; only their kind counts.
func (m *Monitor) set(s State) {
	m.mu.Lock()
	before := m.state
	s.Since = before.Since
	was, is := classify(before.Err), classify(s.Err)
	changed := s.Up != before.Up || s.Initialized != before.Initialized || is != was
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
	switch is {
	case noFailure:
		if was == full || was == writesRefused {
			log.Info("redis accepts writes again", "after", lasted)
			return
		}
		log.Info("redis answers", "after", lasted)
	case noData:
		log.Error("redis holds no tenzo data: the schema marker is missing or of another version; `tenzo-gateway init` marks a new, empty store", "after", lasted)
	case replica:
		log.Error("redis answers as a replica, which counts as no answer", "after", lasted)
	case full:
		log.Error("redis is full and refuses writes", "error", replyText(s.Err), "after", lasted)
	case writesRefused:
		log.Error("redis refuses writes", "error", replyText(s.Err), "after", lasted)
	case notAsked: // the first state only
	case noAnswer:
		log.Error("redis gives no answer", "error", s.Err, "after", lasted)
	}
}

// failureKind is the kind of the error of a State.
type failureKind int

const (
	noFailure failureKind = iota
	notAsked
	noData
	replica
	full
	writesRefused
	noAnswer
)

func classify(err error) failureKind {
	switch {
	case err == nil:
		return noFailure
	case errors.Is(err, errNotAsked):
		return notAsked
	case errors.Is(err, ErrNotInitialized):
		return noData
	case errors.Is(err, ErrReplica):
		return replica
	case IsOOM(err):
		return full
	case refusesWrites(err):
		return writesRefused
	}
	return noAnswer
}
