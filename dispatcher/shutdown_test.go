package dispatcher

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
)

// Events that were taken while the end came are handed over at once, however long what is in flight
// takes.
func TestShutdownHandsOverWhatItTakes(t *testing.T) {
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
