package dispatcher

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Events that are dequeued while the shutdown begins are requeued at once, however long what is in
// flight takes.
func TestShutdownRequeuesWhatIsDequeuedMeanwhile(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	n := newEndpoints()
	release := make(chan struct{})
	n.set("slow", func(ctx context.Context, _ attempt.Request, _ int) attempt.Result {
		select {
		case <-release:
			return ok
		case <-ctx.Done():
			return attempt.Result{Class: attempt.Other, Cancelled: true}
		}
	})
	e.webhook("slow")
	for i := range 20 {
		e.webhook(fmt.Sprint("org", i))
	}
	d, stop := e.dispatch(n, func(o *Options) { o.GracePeriod = 30 * time.Second })
	e.publish("slow", "x")
	await(t, func() bool { return n.count("slow", "x") == 1 })
	e.fill(20, 6000)
	var ending sync.WaitGroup
	ending.Go(stop)
	<-d.stop
	e.held(1)
	close(release)
	ending.Wait()
	b, err := e.q.Books(t.Context())
	if err != nil || b.Difference != 0 || b.Delivered+b.Waiting+b.Duplicate != b.Published {
		t.Errorf("books: %+v, %v", b, err)
	}
}

// A shutdown begins nothing new, waits for what is in flight, and requeues the rest at once.
func TestShutdown(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.webhook("slow")
	e.webhook("hanging")
	n, other := newEndpoints(), newEndpoints()
	n.set("slow", func(ctx context.Context, r attempt.Request, nth int) attempt.Result {
		select {
		case <-time.After(1500 * time.Millisecond):
			return ok
		case <-ctx.Done():
			return attempt.Result{Cancelled: true}
		}
	})
	n.set("hanging", hangs(30*time.Second))
	d, stop := e.dispatch(n, func(o *Options) { o.GracePeriod = 3 * time.Second })
	e.publishMany(1, "slow")
	e.publishMany(20, "hanging")
	harness.Eventually(t, 10*time.Second, func() error {
		if n.count("slow", "e0") == 0 || n.count("hanging", "e0") == 0 {
			return fmt.Errorf("not begun")
		}
		return nil
	})
	e.dispatch(other, nil)
	began := time.Now()
	stop()
	if d.Ready().OK {
		t.Error("ready after the shutdown")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	e.books(5*time.Second, queue.Books{Published: 21, Delivered: 21})
	e.everyOnce(n, "slow", 1, 0)
	if other.count("slow", "e0") != 0 {
		t.Error("what was in flight was sent again")
	}
	e.everyOnce(other, "hanging", 20, 0)
}
