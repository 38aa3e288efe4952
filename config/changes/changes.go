// Package changes follows the stream that announces changed keys and webhooks, so that whoever caches them stops trusting what changed
// within milliseconds, and notices when it may have missed something.
package changes

import (
	"context"
	"log/slog"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Handler is told what changed. Its methods are called one at a time, must return fast and never call Redis.
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
}

// New returns a Follower; Run makes it follow.
func New(st *store.Store, logger *slog.Logger) *Follower { return &Follower{store: st, logger: logger} }

// Subscribe adds a handler until cancel is called; after cancel returned, the handler is called no more.
func (f *Follower) Subscribe(h Handler) (cancel func()) { return func() {} }

// Run follows the stream until ctx is done.
func (f *Follower) Run(ctx context.Context) { <-ctx.Done() }

// ProvenAt is the last moment, on the monotonic clock, up to which every change is known to have been handed to the handlers. Zero
// before the first contact.
func (f *Follower) ProvenAt() time.Time { return time.Time{} }
