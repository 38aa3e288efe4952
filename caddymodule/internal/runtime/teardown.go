package runtime

import (
	"context"
	"sync"
	"time"
)

// teardowns lists the background work that ends what former configurations used. Before the process
// exits it waits for this work (FinishTeardowns).
var teardowns = newTeardownList()

type teardownList struct {
	mu    sync.Mutex
	hurry chan struct{} // closed to end all lingering
	wg    sync.WaitGroup
}

func newTeardownList() *teardownList { return &teardownList{hurry: make(chan struct{})} }

// later calls f in the background after linger, or sooner if finish is called.
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

// finish ends all lingering and waits until every teardown has returned, those that a teardown adds
// meanwhile included, or until ctx is done.
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

// maxTeardown bounds how long the end of the process waits in FinishTeardowns. A dispatcher that a
// reload replaced shortly before may use its whole grace period.
const maxTeardown = 40 * time.Second

// FinishTeardowns ends what former configurations used. Caddy calls it when the process exits.
func FinishTeardowns(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, maxTeardown)
	defer cancel()
	teardowns.finish(ctx)
}
