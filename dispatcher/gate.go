package dispatcher

import (
	"context"
	"sync"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// gate says whether attempts may begin: while the lease was renewed recently enough that nobody can have taken the work over, and the
// schema marker was there then. An attempt in flight goes on either way.
type gate struct {
	mu      sync.Mutex
	renewed time.Time // just before the renewal that was last answered
	marked  bool
	turned  chan struct{} // closed and replaced at each renewal
}

func newGate() *gate { return &gate{turned: make(chan struct{})} }

// renew notes an answered renewal that was asked for at a time.
func (g *gate) renew(asked time.Time, marked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.renewed, g.marked = asked, marked
	close(g.turned)
	g.turned = make(chan struct{})
}

// unmark closes the gate until a renewal finds the marker.
func (g *gate) unmark() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.marked = false
}

// open says whether attempts may begin now, and else gives what to wait for.
func (g *gate) open() (bool, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.marked && age(time.Now(), g.renewed) < queue.LeaseTime, g.turned
}

// pass waits until attempts may begin. It reports false where ctx or stop came first.
func (g *gate) pass(ctx context.Context, stop <-chan struct{}) bool {
	for {
		open, turned := g.open()
		if open {
			return true
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return false
		case <-stop:
			return false
		}
	}
}
