// Package changes follows the stream that announces changed keys and webhooks, so that whoever caches them stops trusting what changed
// within milliseconds, and notices when it may have missed something.
//
// The follower keeps a position P, the id of the last entry it handed on. In each turn it sends one pipeline: read what comes after P,
// waiting up to a second; then look whether the entry P is still there. Invariants:
//
//   - While P is in the stream, nothing after P can have been trimmed away: entries go from the oldest on. So an answer that still has P
//     proves that everything up to the moment the pipeline was sent has been handed on. ProvenAt is that moment.
//   - Where P is gone (trimmed, deleted, recreated, another server), changes may have been missed: Gap, after the position was set anew, so
//     that what comes in between is handed on. An empty stream has no P to be proved by: what appears in it, and a reconnect to it, is Gap.
//   - A connection says something at least every second, or is given up after readDeadline: XREAD is bounded by Redis, and by our own
//     clock should nothing come back. After a reconnect the turn is the same, but does not wait: it catches up from P.
//   - Handlers are called by the goroutine of Run alone, one at a time, under the lock that Subscribe and its cancel take.
package changes

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

const (
	// block is how long Redis waits for a change before it says that there is none.
	block = time.Second
	// readDeadline bounds a turn that waits, so that a mute connection is given up within 2.5 s of its last turn. go-redis alone would add
	// 10 s to what Redis was asked to wait.
	readDeadline = 2500 * time.Millisecond
	// A turn that does not wait in Redis.
	quickDeadline = 1500 * time.Millisecond

	minBackoff = 50 * time.Millisecond
	maxBackoff = time.Second
)

// Handler is told what changed. Its methods are called one at a time, must return fast and never call Redis, Subscribe or cancel.
type Handler interface {
	// KeyChanged gets the sha256 hex of a key and when its change was announced (the entry's stream id, Redis' wall clock).
	KeyChanged(hash string, announced time.Time)
	// WebhookChanged gets an organization's id.
	WebhookChanged(org string, announced time.Time)
	// Gap says that changes may have been missed: whatever was read before this call may be stale.
	Gap()
}

// Follower follows the changes stream of one store for any number of handlers.
type Follower struct {
	store  *store.Store
	logger *slog.Logger
	block  time.Duration // block, but for tests

	mu       sync.Mutex // held while handlers are called
	handlers map[*subscription]Handler
	provenAt time.Time

	// Only Run and what it calls touch these.
	position  string // P: the id of the last entry handed on, "" where there is none to be proved by
	after     string // where to read on: P, or 0-0
	contact   bool   // a position was taken, so that there is something to catch up from
	connected bool   // the last turn was answered
	failing   bool   // the last turn failed, which was logged
	badLog    time.Time
}

type subscription struct{ _ byte } // not empty, so that each has an address of its own

// New returns a Follower; Run makes it follow.
func New(st *store.Store, logger *slog.Logger) *Follower {
	return &Follower{store: st, logger: logger, block: block, handlers: map[*subscription]Handler{}}
}

// Subscribe adds a handler until cancel is called; after cancel returned, the handler is called no more. What the handler reads from Redis
// after Subscribe returned is kept fresh: a change that such a read did not see is handed to it, or a Gap is.
func (f *Follower) Subscribe(h Handler) (cancel func()) {
	key := new(subscription)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handlers[key] = h
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.handlers, key)
	}
}

// ProvenAt is the last moment, on the monotonic clock, up to which every change is known to have been handed to the handlers. Zero
// before the first contact.
func (f *Follower) ProvenAt() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.provenAt
}

// Run follows the stream until ctx is done. It returns at most some 2.5 s after that: a read that waits in Redis cannot be called back.
func (f *Follower) Run(ctx context.Context) {
	backoff := minBackoff
	for ctx.Err() == nil {
		err := f.turn(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if !f.connected {
				f.connected, f.failing = true, false
				f.logger.Info("following changes of keys and webhooks")
			}
			backoff = minBackoff
			continue
		}
		switch {
		case f.connected:
			f.logger.Warn("lost the stream of changes; what is missed is caught up, and until then entries are trusted for 60 s at most", "error", err)
		case !f.failing:
			f.logger.Warn("changes of keys and webhooks cannot be followed yet; entries are trusted for 60 s at most", "error", err)
		}
		f.connected, f.failing = false, true
		// Half of it at random: many processes lose the same Redis at the same moment.
		pause := time.NewTimer(backoff/2 + rand.N(backoff/2))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		backoff = min(2*backoff, maxBackoff)
	}
}
