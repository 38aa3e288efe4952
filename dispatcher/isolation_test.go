package dispatcher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// A thousand endpoints, of which a hundred hang: the healthy ones notice nothing.
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
	if p99 > time.Second { // 100 ms is the promise, measured under tests/load; the race detector and a busy machine have their price
		t.Errorf("p99 of the healthy endpoints is %s", p99)
	}
}

// Many endpoints that hang, in a backlog before everything else, hold half of the memory at most.
func TestBacklogOfTheHanging(t *testing.T) {
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
		t.Errorf("the hanging held %d of 128", most.Load())
	}
}

// Whatever the payloads, no more than max_in_flight_bytes of them stand in memory.
func TestBoundedBytes(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	const limit = 3 << 20
	n := newEndpoints()
	big := make([]byte, 900<<10)
	for i := range big {
		big[i] = 'x'
	}
	for i := range 10 {
		org := fmt.Sprint("org", i)
		e.webhook(org)
		n.set(org, func(ctx context.Context, r attempt.Request, nth int) attempt.Result {
			time.Sleep(5 * time.Millisecond)
			return ok
		})
		for k := range 5 {
			if err := e.raw.XAdd(t.Context(), &redis.XAddArgs{Stream: "tenzo:events", Values: []any{
				"event", "note.finalized", "org_id", org, "id", fmt.Sprint("e", k), "payload", `{"a":"` + string(big) + `"}`,
			}}).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	d, _ := e.dispatch(n, func(o *Options) { o.MaxInFlightBytes = limit })
	var most int64
	harness.Eventually(t, 30*time.Second, func() error {
		d.mu.Lock()
		s := d.session
		d.mu.Unlock()
		if s != nil {
			s.board.mu.Lock()
			most = max(most, s.board.bytes)
			s.board.mu.Unlock()
		}
		b, err := e.q.Books(t.Context())
		if err == nil && b.Delivered != 50 {
			err = fmt.Errorf("%d delivered", b.Delivered)
		}
		return err
	})
	if most > limit || most == 0 {
		t.Errorf("%d bytes stood in memory, %d are allowed", most, limit)
	}
}
