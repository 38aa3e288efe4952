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

// publishMany publishes n events for each organization.
func (e *env) publishMany(n int, orgs ...string) {
	e.t.Helper()
	for _, org := range orgs {
		for i := range n {
			e.publish(org, fmt.Sprint("e", i))
		}
	}
}

// everyOnce checks that each event was sent at least once, and that at most again requests were
// repeats.
func (e *env) everyOnce(n *endpoints, org string, events, again int) {
	e.t.Helper()
	twice := 0
	for i := range events {
		switch c := n.count(org, fmt.Sprint("e", i)); {
		case c == 0:
			e.t.Errorf("event %d of %s was never sent", i, org)
		case c > 1:
			twice += c - 1
		}
	}
	if twice > again {
		e.t.Errorf("%d requests of %s were repeats, %d allowed", twice, org, again)
	}
}

// held waits until all processes together hold as many entries.
func (e *env) held(want int) {
	e.t.Helper()
	harness.Eventually(e.t, 10*time.Second, func() error {
		n := 0
		for _, k := range e.raw.Keys(e.t.Context(), "{tenzo:events}:held:*").Val() {
			n += int(e.raw.HLen(e.t.Context(), k).Val())
		}
		if n != want {
			return fmt.Errorf("%d entries are held, want %d", n, want)
		}
		return nil
	})
}

// Another process recovers the work of one that cannot reach Redis within 15 s. The first one
// registers again when it can.
func TestRecovery(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.webhook("a")
	proxy := harness.StartProxy(t, e.redis.Addr())
	first, second := newEndpoints(), newEndpoints()
	first.set("a", hangs(20*time.Second))
	d1, _ := e.dispatchOn(e.open("redis://"+proxy.Addr()), first, nil)
	e.publishMany(2, "a") // as many as a new endpoint has slots
	e.held(2)
	d2, _ := e.dispatch(second, nil)
	began := time.Now()
	proxy.Mute()
	e.books(15*time.Second, queue.Books{Published: 2, Delivered: 2})
	t.Logf("recovered and delivered after %s", time.Since(began))
	e.everyOnce(second, "a", 2, 0)
	if got := testutil.ToFloat64(d2.metrics.recovered); got != 2 {
		t.Errorf("recovered %v", got)
	}
	proxy.Heal()
	harness.Eventually(t, 10*time.Second, func() error {
		if r := d1.Ready(); len(r.Problems) > 0 {
			return fmt.Errorf("still has problems: %v", r.Problems)
		}
		if n := testutil.ToFloat64(d1.metrics.inFlight); n != 0 {
			return fmt.Errorf("still holds %v", n)
		}
		return nil
	})
	first.set("a", nil)
	second.set("a", nil)
	e.publishMany(20, "b")
	e.books(10*time.Second, queue.Books{Published: 22, Delivered: 2, Skipped: 20})
}

// While Redis is paused no process loses its work.
func TestRedisPaused(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.webhook("a")
	n := newEndpoints()
	n.set("a", func(ctx context.Context, r attempt.Request, nth int) attempt.Result {
		time.Sleep(10 * time.Millisecond)
		return ok
	})
	d1, _ := e.dispatch(n, nil)
	d2, _ := e.dispatchOn(e.open(e.redis.URL()), n, nil)
	e.publishMany(300, "a")
	harness.Eventually(t, 10*time.Second, func() error {
		if n.count("a", "e50") == 0 {
			return fmt.Errorf("not begun")
		}
		return nil
	})
	e.redis.Pause()
	time.Sleep(9 * time.Second) // the fault itself: longer than a lease
	for _, d := range []*Dispatcher{d1, d2} {
		if r := d.Ready(); !r.OK || r.Problems["redis"] == "" {
			t.Errorf("while Redis is paused: %+v", r)
		}
	}
	e.redis.Resume()
	e.books(15*time.Second, queue.Books{Published: 300, Delivered: 300})
	e.everyOnce(n, "a", 300, 0)
	if r := testutil.ToFloat64(d1.metrics.recovered) + testutil.ToFloat64(d2.metrics.recovered); r != 0 {
		t.Errorf("%v events of live processes were recovered", r)
	}
}

// When Redis restarts with its AOF, nothing is lost and nothing is sent again but what was in
// flight.
func TestRedisRestarts(t *testing.T) {
	t.Parallel()
	e := newEnv(t, "--appendonly", "yes", "--appendfsync", "always")
	e.webhook("a")
	n := newEndpoints()
	n.set("a", func(ctx context.Context, r attempt.Request, nth int) attempt.Result {
		time.Sleep(5 * time.Millisecond)
		return ok
	})
	_, stop := e.dispatch(n, nil)
	defer stop() // before the last Redis ends
	e.publishMany(500, "a")
	for range 3 {
		e.redis.Restart()
	}
	e.books(20*time.Second, queue.Books{Published: 500, Delivered: 500})
	e.everyOnce(n, "a", 500, 0)
}

// When connections break before a reply arrives, no event is left behind and none is counted twice.
func TestRepliesLost(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.webhook("a")
	e.webhook("b")
	proxy := harness.StartProxy(t, e.redis.Addr())
	n := newEndpoints()
	n.set("b", func(_ context.Context, r attempt.Request, nth int) attempt.Result {
		if nth == 1 {
			return fails(t.Context(), r, nth)
		}
		return ok
	})
	e.dispatchOn(e.open("redis://"+proxy.Addr()), n, nil)
	for round := range 10 {
		for i := range 100 {
			e.publish([]string{"a", "b"}[i%2], fmt.Sprint("e", round*50+i/2))
		}
		if round%2 == 0 {
			proxy.MuteAnswers()
			time.Sleep(50 * time.Millisecond) // so that requests arrive whose replies do not
		}
		proxy.CutConnections()
		proxy.Heal()
	}
	e.books(30*time.Second, queue.Books{Published: 1000, Delivered: 1000})
	e.everyOnce(n, "a", 500, 500)
	for i := range 500 {
		if c := n.count("b", fmt.Sprint("e", i)); c < 2 {
			t.Errorf("event %d was sent %d times", i, c)
		}
	}
}

// While the schema marker is missing, deliveries wait and nothing is skipped.
func TestMarkerMissing(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.webhook("a")
	n := newEndpoints()
	d, _ := e.dispatch(n, nil)
	e.publish("a", "e0")
	e.books(5*time.Second, queue.Books{Published: 1, Delivered: 1})
	e.do("del", "tenzo:schema")
	e.do("del", "tenzo:webhook:a")
	harness.Eventually(t, 3*time.Second, func() error {
		if d.Ready().Problems["redis"] == "" {
			return fmt.Errorf("not noticed")
		}
		return nil
	})
	e.do("xadd", "tenzo:events", "*", "event", "note.finalized", "org_id", "a", "payload", `{}`, "id", "e1")
	time.Sleep(1500 * time.Millisecond) // nothing may happen meanwhile
	e.books(time.Second, queue.Books{Published: 2, Delivered: 1, Waiting: 1})
	e.webhook("a")
	e.redis.Mark()
	e.books(5*time.Second, queue.Books{Published: 2, Delivered: 2})
	e.everyOnce(n, "a", 2, 0)
}

// After FLUSHALL the dispatcher waits for the marker, then delivers what is new.
func TestFlushAll(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.webhook("a")
	n := newEndpoints()
	n.set("a", hangs(5*time.Second))
	d, _ := e.dispatch(n, nil)
	e.publishMany(2, "a")
	e.held(2)
	e.redis.FlushAll()
	harness.Eventually(t, 3*time.Second, func() error {
		if d.Ready().Problems["redis"] == "" {
			return fmt.Errorf("not noticed")
		}
		return nil
	})
	n.set("a", nil)
	e.redis.Mark()
	e.webhook("a")
	e.publish("a", "new")
	e.books(10*time.Second, queue.Books{Published: 1, Delivered: 1})
	if c := n.count("a", "new"); c != 1 {
		t.Errorf("sent %d times", c)
	}
}
