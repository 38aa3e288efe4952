// Package changes follows the stream that announces changed API keys and webhooks. Caches that
// subscribe stop trusting a changed record within milliseconds, and learn when they may have missed
// a change.
//
// The follower keeps a position P: the id of the last entry it delivered. Each poll sends one
// pipeline: read the entries after P, waiting up to a second; then look whether the entry P still
// exists. Invariants:
//
//   - While P is in the stream, no entry after P can have been trimmed, because trimming starts at
//     the oldest entry. A reply that still has P proves that every change up to the moment the
//     pipeline was sent has been delivered. ProvenAt is that moment.
//   - If P is gone (trimmed, deleted, stream recreated, another server), changes may have been
//     missed. The follower then calls Gap, after it has set a new position, so that later entries
//     are delivered. An empty stream has no P and proves nothing: its first entry is a Gap, and so
//     is a reconnect to it.
//   - A connection answers at least once a second, or is given up after readDeadline: Redis bounds
//     the XREAD, and our own clock bounds a connection that stays silent. The first poll after a
//     reconnect does not wait; it catches up from P.
//   - Only the goroutine of Run calls handlers, one at a time, under the lock that the Subscribe
//     methods and their cancel functions take.
package changes

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/backoff"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

const (
	// block is how long Redis waits for a change before it replies that there is none.
	block = time.Second
	// readDeadline bounds a poll that waits in Redis, so that a silent connection is given up
	// within
	// 2.5 s of its last poll. go-redis alone would add 10 s to the wait that Redis was asked for.
	readDeadline = 2500 * time.Millisecond
	// quickDeadline bounds a poll that does not wait in Redis.
	quickDeadline = 1500 * time.Millisecond

	firstPause = 50 * time.Millisecond // between failed polls
)

// A GapHandler is told of gaps. Its method, and those of KeyHandler and WebhookHandler, are called
// one at a time, must return fast, and must never call Redis, a Subscribe method or cancel.
type GapHandler interface {
	// Gap says that changes may have been missed: everything read before this call may be stale.
	Gap()
}

// KeyHandler is told of changed API keys.
type KeyHandler interface {
	GapHandler
	// KeyChanged gets the sha256 hex of a key and when its change was announced (the stream id of
	// the entry, by the wall clock of Redis).
	KeyChanged(hash string, announced time.Time)
}

// WebhookHandler is told of changed webhooks.
type WebhookHandler interface {
	GapHandler
	// WebhookChanged gets the id of an organization and when the change was announced.
	WebhookChanged(org string, announced time.Time)
}

// Follower follows the changes stream of one store for any number of handlers.
type Follower struct {
	store  *store.Store
	logger *slog.Logger
	block  time.Duration // the constant block, except in tests

	mu       sync.Mutex // held while handlers are called
	keys     map[*subscription]KeyHandler
	webhooks map[*subscription]WebhookHandler
	provenAt time.Time

	// Only Run and the functions it calls use the fields below.
	position  string // P: the id of the last delivered entry; "" if no entry can prove anything
	after     string // where to read on: P, or 0-0
	contact   bool   // a position was taken, so there is one to catch up from
	connected bool   // the last poll was answered
	failing   bool   // the last poll failed, which was logged
	badLog    time.Time
}

type subscription struct{ _ byte } // not empty, so that each has an address of its own

// New returns a Follower; Run makes it follow.
func New(st *store.Store, logger *slog.Logger) *Follower {
	return &Follower{
		store: st, logger: logger, block: block,
		keys: map[*subscription]KeyHandler{}, webhooks: map[*subscription]WebhookHandler{},
	}
}

// SubscribeKeys adds a handler until cancel is called. After cancel returns, the handler is not
// called again. Records that the handler reads from Redis after SubscribeKeys returned are kept
// fresh: each change that such a read did not see is delivered to the handler, or a Gap is.
func (f *Follower) SubscribeKeys(h KeyHandler) (cancel func()) {
	return subscribe(f, f.keys, h)
}

// SubscribeWebhooks is SubscribeKeys for changes of webhooks.
func (f *Follower) SubscribeWebhooks(h WebhookHandler) (cancel func()) {
	return subscribe(f, f.webhooks, h)
}

func subscribe[H GapHandler](f *Follower, to map[*subscription]H, h H) (cancel func()) {
	key := new(subscription)
	f.mu.Lock()
	defer f.mu.Unlock()
	to[key] = h
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(to, key)
	}
}

// ProvenAt is the latest moment, on the monotonic clock, up to which every change is known to have
// been delivered to the handlers. It is zero before the first contact.
func (f *Follower) ProvenAt() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.provenAt
}

// Run follows the stream until ctx is done. It returns at most about 2.5 s later, because a read
// that waits in Redis cannot be cancelled.
func (f *Follower) Run(ctx context.Context) {
	pause := backoff.Jittered(firstPause) // many processes lose the same Redis at the same moment
	for ctx.Err() == nil {
		err := f.poll(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if !f.connected {
				f.connected, f.failing = true, false
				f.logger.Info("following changes of keys and webhooks")
			}
			pause.Reset()
			continue
		}
		switch {
		case f.connected:
			f.logger.Warn("lost the stream of changes; missed changes are read after the reconnect, and until then cached entries are trusted for at most 60 s", "error", err)
		case !f.failing:
			f.logger.Warn("changes of keys and webhooks cannot be followed yet; cached entries are trusted for at most 60 s", "error", err)
		}
		f.connected, f.failing = false, true
		if !pause.Wait(ctx) {
			return
		}
	}
}
