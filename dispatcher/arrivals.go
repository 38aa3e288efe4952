package dispatcher

import (
	"context"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/backoff"
)

// arrivals waits in Redis for new events, one wait at a time, in a loop of its own: a read that
// blocks in Redis cannot be called back, and the fetcher has other work meanwhile.
type arrivals struct {
	process process
	cursors chan string
	arrived chan struct{} // a wait has ended

	waiting bool // owned by the fetcher: a wait is under way
}

func newArrivals(p process) *arrivals {
	return &arrivals{process: p, cursors: make(chan string, 1), arrived: make(chan struct{}, 1)}
}

// wait begins a wait for events beyond cursor, unless one is under way.
func (a *arrivals) wait(cursor string) {
	if !a.waiting {
		a.waiting = true
		a.cursors <- cursor
	}
}

// run serves waits until ctx ends, or until the wait that is then under way is over.
func (a *arrivals) run(ctx context.Context) {
	for {
		select {
		case cursor := <-a.cursors:
			began := time.Now()
			err := a.process.WaitForEvents(ctx, cursor)
			if err != nil && time.Since(began) < 100*time.Millisecond {
				backoff.Sleep(ctx, 100*time.Millisecond)
			}
			a.arrived <- struct{}{}
		case <-ctx.Done():
			return
		}
	}
}
