package dispatcher

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// lease guards the beginning of attempts and of fetching: both may begin only while the lease was
// renewed so recently that no other process can have recovered the work, and the schema marker was
// there then. An attempt in flight goes on either way.
type lease struct {
	fenced     atomic.Bool // the work was recovered by another process
	endSession context.CancelFunc

	mu          sync.Mutex
	renewedAt   time.Time // just before the last renewal that got a reply
	initialized bool
	changed     chan struct{} // closed and replaced by each renewal
}

func newLease(endSession context.CancelFunc) *lease {
	return &lease{endSession: endSession, changed: make(chan struct{})}
}

// renew notes a renewal that got a reply, and when it was requested.
func (l *lease) renew(requestedAt time.Time, initialized bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewedAt, l.initialized = requestedAt, initialized
	close(l.changed)
	l.changed = make(chan struct{})
}

// uninitialized makes the lease invalid until a renewal finds the schema marker.
func (l *lease) uninitialized() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.initialized = false
}

// fence ends the session: another process owns what it holds.
func (l *lease) fence() {
	l.fenced.Store(true)
	l.endSession()
}

// valid reports whether attempts may begin now. If not, changed is closed by the next renewal.
func (l *lease) valid() (valid bool, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.initialized && age(time.Now(), l.renewedAt) < queue.LeaseTime, l.changed
}

// await waits until attempts may begin. It reports false if ctx or stop ended first.
func (l *lease) await(ctx context.Context, stop <-chan struct{}) bool {
	for {
		valid, changed := l.valid()
		if valid {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		case <-stop:
			return false
		}
	}
}

// failed handles the error of a step and reports whether there was one.
func (l *lease) failed(ctx context.Context, err error, s *signals) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, queue.ErrFenced):
		l.fence()
	case errors.Is(err, queue.ErrNotInitialized):
		l.uninitialized()
	case ctx.Err() == nil:
		s.replyLost(err)
	}
	return true
}
