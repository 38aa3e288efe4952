package dispatcher

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Another program deletes the stream: its events are missing from the books until they are written
// off, and new events are delivered.
func TestStreamDeleted(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.webhook("a")
	n := newEndpoints()
	d, _ := e.dispatch(n, nil)
	e.publishMany(3, "a")
	e.books(5*time.Second, queue.Books{Published: 3, Delivered: 3})
	n.set("a", fails)
	e.publishMany(4, "b", "c") // skipped
	e.publish("a", "x")
	e.publish("a", "y")
	e.books(10*time.Second, queue.Books{Published: 13, Delivered: 3, Skipped: 8, Waiting: 2})
	// Both fail twice and wait for their third attempt.
	harness.Eventually(t, 5*time.Second, func() error {
		if c := e.raw.ZCard(t.Context(), "{tenzo:events}:retry").Val(); c != 2 {
			return fmt.Errorf("%d retrying", c)
		}
		return nil
	})
	e.do("del", "tenzo:events")
	n.set("a", nil)
	e.publish("a", "z")
	e.books(10*time.Second, queue.Books{Published: 14, Delivered: 4, Skipped: 8, Difference: 2})
	harness.Eventually(t, 5*time.Second, func() error {
		if got := testutil.ToFloat64(d.metrics.lost); got != 2 {
			return fmt.Errorf("lost_total is %v", got)
		}
		return nil
	})
	off, b, err := e.q.AcceptDifference(t.Context())
	if err != nil || off != 2 || b.Difference != 0 {
		t.Errorf("written off %d, %+v, %v", off, b, err)
	}
	e.books(time.Second, queue.Books{Published: 12, Delivered: 4, Skipped: 8})
}

// Another program destroys the group while events are held, retrying and parked: each is still
// delivered once.
func TestGroupDestroyed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.webhook("a")
	e.webhook("b")
	n := newEndpoints()
	release := make(chan struct{})
	n.set("a", func(ctx context.Context, r attempt.Request, nth int) attempt.Result {
		select {
		case <-release:
			return ok
		case <-ctx.Done():
			return attempt.Result{Cancelled: true}
		}
	})
	n.set("b", func(_ context.Context, r attempt.Request, nth int) attempt.Result {
		if nth < 3 {
			return fails(t.Context(), r, nth)
		}
		return ok
	})
	e.dispatch(n, nil)
	e.publishMany(50, "a", "b")
	harness.Eventually(t, 5*time.Second, func() error {
		if n := e.raw.ZCard(t.Context(), "{tenzo:events}:parked:a").Val(); n < 40 {
			return fmt.Errorf("%d parked", n)
		}
		return nil
	})
	e.do("xgroup", "destroy", "tenzo:events", "dispatcher")
	e.publish("a", "e50")
	time.Sleep(1500 * time.Millisecond) // long enough for the stream to be read from its beginning
	close(release)
	e.books(20*time.Second, queue.Books{Published: 101, Delivered: 101})
	e.everyOnce(n, "a", 51, 0)
	for i := range 50 {
		if c := n.count("b", fmt.Sprint("e", i)); c != 3 {
			t.Errorf("event %d was sent %d times", i, c)
		}
	}
}

// A foreign consumer reads in our group and goes away, with or without acknowledging: its events
// are delivered all the same, and the ill-formed ones are dead and counted.
func TestForeignConsumerInTheGroup(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.webhook("a")
	n := newEndpoints()
	e.do("xgroup", "create", "tenzo:events", "dispatcher", "0", "mkstream")
	e.do("xadd", "tenzo:events", "*", "event", "note.finalized", "org_id", "a", "id", "ill-formed")
	e.publishMany(10, "a")
	e.do("xreadgroup", "group", "dispatcher", "stranger", "count", "4", "streams", "tenzo:events", ">")
	e.do("xreadgroup", "group", "dispatcher", "stranger", "count", "3", "noack", "streams", "tenzo:events", ">")
	d, _ := e.dispatch(n, nil)
	e.books(20*time.Second, queue.Books{Published: 11, Delivered: 10, Dead: 1})
	e.everyOnce(n, "a", 10, 0)
	await(t, func() bool { return testutil.ToFloat64(d.metrics.of("note.finalized").outcomes[outcomeDead]) == 1 })
}

// At maxmemory everything that frees memory continues; the delivery log loses entries.
func TestFullRedis(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.webhook("a")
	e.webhook("b")
	n := newEndpoints()
	n.set("b", fails)
	block := make(chan struct{})
	n.set("a", func(ctx context.Context, r attempt.Request, nth int) attempt.Result {
		select {
		case <-block:
			return ok
		case <-ctx.Done():
			return attempt.Result{Cancelled: true}
		}
	})
	d, _ := e.dispatch(n, nil)
	e.publishMany(20, "a", "b")
	// Some are in flight, some parked, some retrying.
	harness.Eventually(t, 10*time.Second, func() error {
		if c := e.raw.ZCard(t.Context(), "{tenzo:events}:retry").Val(); c == 0 || n.count("a", "e0") == 0 {
			return fmt.Errorf("%d retrying", c)
		}
		return nil
	})
	e.do("config", "set", "maxmemory", "1mb")
	if err := e.raw.Set(t.Context(), "tenzo:other", "x", 0).Err(); err == nil {
		t.Fatal("this Redis is not full")
	}
	close(block)
	e.books(30*time.Second, queue.Books{Published: 40, Delivered: 20, Dead: 20})
	if d.Ready().Problems["delivery_log"] == "" {
		t.Errorf("readiness does not name the lost log entries: %+v", d.Ready())
	}
	if got := testutil.ToFloat64(d.metrics.lost); got != 0 {
		t.Errorf("lost_total is %v", got)
	}
}
