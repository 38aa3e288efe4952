package dispatcher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Of a thousand endpoints a hundred hang: deliveries to the healthy ones are not delayed.
func TestIsolation(t *testing.T) {
	t.Parallel()
	const orgs, hanging, events = 1000, 100, 3000
	e := newEnv(t)
	n := newEndpoints()
	for i := range orgs {
		org := fmt.Sprint("org", i)
		e.webhook(org)
		if i < hanging {
			n.set(org, hangs(30*time.Second))
		}
	}
	_, stop := e.dispatch(n, func(o *Options) { o.GracePeriod = 0 })
	defer stop()
	tick := time.NewTicker(time.Second / 1000)
	defer tick.Stop()
	published := map[string]time.Time{}
	healthy := 0
	for i := range events {
		<-tick.C
		org := fmt.Sprint("org", rand.IntN(orgs))
		id := fmt.Sprint("e", i)
		published[org+"/"+id] = time.Now()
		e.publish(org, id)
		if n.answers[org] == nil {
			healthy++
		}
	}
	harness.Eventually(t, 10*time.Second, func() error {
		b, err := e.q.Books(t.Context())
		if err == nil && b.Delivered != int64(healthy) {
			err = fmt.Errorf("%d of %d delivered", b.Delivered, healthy)
		}
		return err
	})
	var took []time.Duration
	n.mu.Lock()
	for key, at := range n.at {
		if n.answers[n.got[key][0].Webhook.OrgID] == nil {
			took = append(took, at[0].Sub(published[key]))
		}
	}
	n.mu.Unlock()
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("healthy: median %s, p99 %s, worst %s", took[len(took)/2], p99, took[len(took)-1])
	// tests/load measures the promise of 100 ms; the race detector and a busy machine need more.
	if p99 > time.Second {
		t.Errorf("p99 of the healthy endpoints is %s", p99)
	}
}

// Many endpoints that hang, with a backlog older than everything else, hold at most half of
// max_in_flight.
func TestBacklogOfHangingEndpoints(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	n := newEndpoints()
	var inFlight, most atomic.Int64
	for i := range 40 {
		org := fmt.Sprint("bad", i)
		e.webhook(org)
		n.set(org, func(ctx context.Context, r attempt.Request, nth int) attempt.Result {
			now := inFlight.Add(1)
			defer inFlight.Add(-1)
			for {
				was := most.Load()
				if now <= was || most.CompareAndSwap(was, now) {
					break
				}
			}
			return hangs(30*time.Second)(ctx, r, nth)
		})
		for k := range 75 {
			e.publish(org, fmt.Sprint("e", k))
		}
	}
	e.webhook("good")
	for k := range 100 {
		e.publish("good", fmt.Sprint("e", k))
	}
	_, stop := e.dispatch(n, func(o *Options) { o.MaxInFlight, o.GracePeriod = 128, 0 })
	defer stop()
	began := time.Now()
	e.books(3*time.Second, queue.Books{Published: 3100, Delivered: 100, Waiting: 3000})
	t.Logf("delivered past 3000 events of hanging endpoints within %s", time.Since(began))
	if most.Load() > 64 {
		t.Errorf("hanging endpoints held %d of 128", most.Load())
	}
}

// However large the payloads, no more than max_in_flight_bytes of them are in memory.
func TestBoundedBytes(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	const limit = 3 << 20
	n := newEndpoints()
	for i := range 10 {
		org := fmt.Sprint("org", i)
		e.webhook(org)
		n.set(org, func(ctx context.Context, r attempt.Request, nth int) attempt.Result {
			time.Sleep(5 * time.Millisecond)
			return ok
		})
		for k := range 5 {
			e.publishLarge(org, fmt.Sprint("e", k), 900<<10)
		}
	}
	d, _ := e.dispatch(n, func(o *Options) { o.MaxInFlightBytes = limit })
	var most int64
	harness.Eventually(t, 30*time.Second, func() error {
		d.mu.Lock()
		s := d.session
		d.mu.Unlock()
		if s != nil {
			_, left := s.scheduler.Room()
			most = max(most, limit-left)
		}
		b, err := e.q.Books(t.Context())
		if err == nil && b.Delivered != 50 {
			err = fmt.Errorf("%d delivered", b.Delivered)
		}
		return err
	})
	if most > limit || most == 0 {
		t.Errorf("%d bytes were in memory, %d are allowed", most, limit)
	}
}

// An event is parked because other endpoints use up the quota of its tier. It comes back as soon as
// there is room, although no other event of its endpoint is in flight whose end would fetch it.
func TestParkedEventComesBackWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	n := newEndpoints()
	answer := make(chan struct{})
	for i := range 32 {
		org := fmt.Sprint("slow", i)
		e.webhook(org)
		n.set(org, func(ctx context.Context, _ attempt.Request, _ int) attempt.Result {
			select {
			case <-answer:
				return ok
			case <-ctx.Done():
				return attempt.Result{Class: attempt.Other, Cancelled: true}
			}
		})
		e.publish(org, "x")
	}
	e.webhook("good")
	d, _ := e.dispatch(n, func(o *Options) { o.MaxInFlight = 64 })
	e.held(32)
	e.publish("good", "x")
	await(t, func() bool { // it was looked at
		parked, err := d.queue.Totals(t.Context())
		return err == nil && parked.Parked == 1
	})
	if c := n.count("good", "x"); c != 0 {
		t.Fatalf("sent %d times", c)
	}
	close(answer)
	e.books(5*time.Second, queue.Books{Published: 33, Delivered: 33})
}

// publishLarge publishes an event with so many bytes.
func (e *env) publishLarge(org, id string, size int) {
	e.t.Helper()
	if err := e.raw.XAdd(e.t.Context(), &redis.XAddArgs{Stream: "tenzo:events", Values: []any{
		"event", "note.finalized", "org_id", org, "id", id, "payload", `{"a":"` + strings.Repeat("x", size) + `"}`,
	}}).Err(); err != nil {
		e.t.Fatal(err)
	}
}

// Endpoints that hang with large payloads fill at most half of max_in_flight_bytes, so others are
// delivered, known or new.
func TestBytesOfHangingEndpoints(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	n := newEndpoints()
	for _, org := range []string{"known", "new"} {
		e.webhook(org)
	}
	d, stop := e.dispatch(n, func(o *Options) { o.MaxInFlightBytes, o.GracePeriod = 16<<20, 0 })
	defer stop()
	e.publish("known", "first")
	e.books(5*time.Second, queue.Books{Published: 1, Delivered: 1})
	for i := range 30 {
		org := fmt.Sprint("bad", i)
		e.webhook(org)
		n.set(org, hangs(30*time.Second))
		e.publishLarge(org, "x", 900<<10)
	}
	await(t, func() bool {
		b, err := d.queue.Totals(t.Context())
		return err == nil && b.Parked > 10
	})
	e.publish("known", "second")
	e.publish("new", "first")
	e.publishLarge("known", "third", 500<<10)
	e.books(3*time.Second, queue.Books{Published: 34, Delivered: 4, Waiting: 30})
}

// Healthy endpoints that begin to hang all at once leave room for the others.
func TestManyEndpointsBeginToHang(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	n := newEndpoints()
	const orgs = 40
	var hang atomic.Bool
	for i := range orgs {
		org := fmt.Sprint("busy", i)
		e.webhook(org)
		n.set(org, func(ctx context.Context, r attempt.Request, nth int) attempt.Result {
			if hang.Load() {
				return hangs(30*time.Second)(ctx, r, nth)
			}
			return ok
		})
	}
	e.webhook("good")
	d, stop := e.dispatch(n, func(o *Options) { o.MaxInFlight, o.GracePeriod = 256, 0 })
	defer stop()
	for k := range 20 {
		for i := range orgs {
			e.publish(fmt.Sprint("busy", i), fmt.Sprint("w", k))
		}
		e.publish("good", fmt.Sprint("w", k))
	}
	e.books(20*time.Second, queue.Books{Published: 820, Delivered: 820})
	hang.Store(true)
	for k := range 20 {
		for i := range orgs {
			e.publish(fmt.Sprint("busy", i), fmt.Sprint("e", k))
		}
	}
	await(t, func() bool { // everything has been looked at
		b, err := d.queue.Totals(t.Context())
		return err == nil && b.Parked >= 800-256
	})
	for k := range 10 {
		e.publish("good", fmt.Sprint("e", k))
	}
	e.books(3*time.Second, queue.Books{Published: 1630, Delivered: 830, Waiting: 800})
}
