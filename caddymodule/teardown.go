package caddymodule

import (
	"context"
	"sync"
	"time"
)

// teardowns are the ends of what former configurations used, under way in the background after a reload. The process waits for them when
// it exits (finishTeardowns).
var teardowns = newTeardownList()

type teardownList struct {
	mu    sync.Mutex
	hurry chan struct{} // closed: no lingering any more
	wg    sync.WaitGroup
}

func newTeardownList() *teardownList { return &teardownList{hurry: make(chan struct{})} }

// later calls f in the background once linger is over, or hurried.
func (t *teardownList) later(linger time.Duration, f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	hurry := t.hurry
	t.wg.Go(func() {
		timer := time.NewTimer(linger)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-hurry:
		}
		f()
	})
}

// finish ends all lingering, of what a teardown adds meanwhile too, and waits for everything that is under way, or for ctx.
func (t *teardownList) finish(ctx context.Context) {
	t.mu.Lock()
	close(t.hurry)
	t.mu.Unlock()
	done := make(chan struct{})
	go func() {
		t.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	t.mu.Lock()
	t.hurry = make(chan struct{})
	t.mu.Unlock()
}

// maxTeardown bounds what the end of the process waits for here; a dispatcher that a reload replaced shortly before may use its whole
// grace period.
const maxTeardown = 40 * time.Second

// finishTeardowns is what Caddy calls when the process exits.
func finishTeardowns(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, maxTeardown)
	defer cancel()
	teardowns.finish(ctx)
}
