package dispatcher

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// Events that were taken while the end came are handed over at once, however long what is in flight takes.
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

// What comes too late to be begun is among what is handed over.
func TestClosedBoardKeepsNothingBack(t *testing.T) {
	b := newBoard(Defaults())
	b.close()
	j := &job{LeasedEvent: queue.LeasedEvent{Entry: "1-0", OrgID: "a"}}
	if v, _ := b.admit(j); v != wait {
		t.Errorf("verdict %v", v)
	}
	if got := b.takeWaiting(); len(got) != 1 || got[0] != j {
		t.Errorf("handed over: %v", got)
	}
}
