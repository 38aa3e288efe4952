package tests

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// tally counts for each key the requests that clients saw answered with 200.
type tally struct {
	keys []key
	ok   []atomic.Int64
}

func newTally(t *testing.T, rdb redis.UniversalClient, keys int) *tally {
	t.Helper()
	c := &tally{ok: make([]atomic.Int64, keys)}
	for range keys {
		c.keys = append(c.keys, newKey(t, rdb, "acme"))
	}
	return c
}

func (c *tally) total() (n int64) {
	for i := range c.ok {
		n += c.ok[i].Load()
	}
	return n
}

// matches checks that the totals in Redis are exactly equal.
func (c *tally) matches(ctx context.Context, rdb redis.UniversalClient) error {
	for i, k := range c.keys {
		n, err := count(ctx, rdb, k)
		if err != nil {
			return err
		}
		if n != c.ok[i].Load() {
			return fmt.Errorf("key %d: Redis counts %d, the clients saw %d", i, n, c.ok[i].Load())
		}
	}
	return nil
}

// load sends requests to one gateway with all keys in turn.
func (c *tally) load(addr string, requests int64) harness.Load {
	bytes := make([][]byte, len(c.keys))
	for i, k := range c.keys {
		bytes[i] = harness.Get("gateway", "/", "Authorization: Bearer "+k.secret)
	}
	at := func(n int64) int { return int(n % int64(len(c.keys))) }
	return harness.Load{
		Addr: addr, Connections: 8, Requests: requests,
		Request: func(n int64) []byte { return bytes[at(n)] },
		Answered: func(n int64, status int, _ time.Duration) {
			if status == 200 {
				c.ok[at(n)].Add(1)
			}
		},
	}
}

// TestUsageIsExact sends 200,000 requests with 50 keys to two gateways, with a reload, a graceful
// restart and a restart of Redis meanwhile. Afterwards the totals in Redis exactly equal what the
// clients saw. TENZO_TEST_REQUESTS sets another number.
func TestUsageIsExact(t *testing.T) {
	requests := int64(200_000)
	if n, err := strconv.ParseInt(os.Getenv("TENZO_TEST_REQUESTS"), 10, 64); err == nil {
		requests = n
	}
	r := harness.StartRedis(t, harness.AOF...)
	r.Mark()
	rdb := r.Client(t)
	counts := newTally(t, rdb, 50)
	a := startGateway(t, site{redis: r.URL(), debugOff: true})
	b := startGateway(t, site{redis: r.URL(), debugOff: true})

	start := time.Now()
	var restarting atomic.Bool // gateway a restarts; its clients wait
	var work sync.WaitGroup
	for _, g := range []*gateway{a, b} {
		load := counts.load(g.addr(), requests/2)
		load.Refused = func(_ int64, err error) bool {
			if restarting.Load() || g == b {
				time.Sleep(time.Millisecond) // between two tries; no assertion depends on it
				return g == a || err != nil
			}
			return true
		}
		work.Go(func() {
			if err := load.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	reached := func(share int64) {
		harness.Eventually(t, 2*time.Minute, func() error {
			if n := counts.total(); n < requests*share/100 {
				return fmt.Errorf("%d of %d requests were answered with 200", n, requests)
			}
			return nil
		})
	}
	reached(20)
	s := a.site
	s.before = "header X-Generation 2"
	must(t, a.Reload(a.caddyfile(s)))
	reached(40)
	restarting.Store(true)
	a.Terminate()
	if status := a.Wait(20 * time.Second); status != 0 {
		t.Errorf("the gateway ended with status %d", status)
	}
	a.start(t)
	restarting.Store(false)
	reached(60)
	r.Restart()
	work.Wait()
	took := time.Since(start)

	rdb = r.Client(t)
	harness.Eventually(t, 20*time.Second, func() error { return counts.matches(t.Context(), rdb) })
	for _, g := range []*gateway{a, b} {
		g.Terminate()
		if status := g.Wait(20 * time.Second); status != 0 {
			t.Errorf("the gateway ended with status %d", status)
		}
	}
	must(t, counts.matches(t.Context(), rdb))
	// A graceful stop folds the fields of the process into the total.
	for _, k := range counts.keys {
		fields, err := rdb.HKeys(t.Context(), "tenzo:usage:"+k.id).Result()
		must(t, err)
		slices.Sort(fields)
		if diff := cmp.Diff([]string{"count", "last_used_at"}, fields); diff != "" {
			t.Fatalf("fields that remain (-want +got):\n%s", diff)
		}
	}
	t.Logf("%d requests, %d answered with 200, in %v", requests, counts.total(), took.Round(time.Millisecond))
}

// A gateway keeps counting during an outage of Redis. No count is lost when Redis comes back, even
// with the state of a second earlier.
func TestUsageAcrossOutage(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t, harness.AOF...)
	r.Mark()
	// Before the gateway starts, which drops a key from its cache when its creation is announced.
	counts := newTally(t, r.Client(t), 5)
	g := startGateway(t, site{redis: r.URL(), debugOff: true})
	serve := func() {
		t.Helper()
		must(t, counts.load(g.addr(), 500).Run(t.Context()))
	}
	serve()
	r.Kill()
	serve()
	serve()
	if pending, err := metric(g.statusURL(), "tenzo_auth_usage_pending"); err != nil || pending < 1 {
		t.Errorf("while Redis is away %v counts are pending, %v", pending, err)
	}
	r.Start()
	rdb := r.Client(t)
	harness.Eventually(t, 20*time.Second, func() error { return counts.matches(t.Context(), rdb) })
	if got, want := counts.total(), int64(1500); got != want {
		t.Errorf("%d of %d requests were answered with 200", got, want)
	}
}

// A Redis that comes back with an older state, without writes that it had acknowledged, gets the
// counts again.
func TestUsageWithAnOlderRedis(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t) // it starts with the snapshot below
	r.Mark()
	rdb := r.Client(t)
	counts := newTally(t, rdb, 5)
	pair := []*gateway{startGateway(t, site{redis: r.URL(), debugOff: true}), startGateway(t, site{redis: r.URL(), debugOff: true})}
	serve := func() {
		t.Helper()
		for _, g := range pair {
			must(t, counts.load(g.addr(), 300).Run(t.Context()))
		}
		rdb := r.Client(t)
		harness.Eventually(t, 20*time.Second, func() error { return counts.matches(t.Context(), rdb) })
	}
	serve()
	must(t, rdb.Save(t.Context()).Err())
	serve()
	for range 2 {
		r.Restart()
		rdb = r.Client(t)
		n, err := count(t.Context(), rdb, counts.keys[0])
		must(t, err)
		if n >= counts.ok[0].Load() {
			t.Fatalf("Redis is not older: it counts %d", n)
		}
		harness.Eventually(t, 20*time.Second, func() error { return counts.matches(t.Context(), rdb) })
		serve()
	}
}

// If the reply of Redis is lost, the gateway flushes again, and no use is counted twice.
func TestUsageWithLostAnswers(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	rdb := r.Client(t)
	p := harness.StartProxy(t, r.Addr())
	counts := newTally(t, rdb, 3)
	g := startGateway(t, site{redis: "redis://" + p.Addr(), debugOff: true})
	must(t, counts.load(g.addr(), 300).Run(t.Context()))
	harness.Eventually(t, 10*time.Second, func() error { return counts.matches(t.Context(), rdb) })
	reached := func(before int64) bool {
		poll := time.NewTicker(20 * time.Millisecond)
		defer poll.Stop()
		for range 150 { // three seconds
			n, err := count(t.Context(), rdb, counts.keys[0])
			must(t, err)
			if n > before {
				return true
			}
			<-poll.C
		}
		return false
	}
	for round, lost := 0, 0; lost < 3; round++ {
		if round == 20 {
			t.Fatalf("of %d rounds only %d had a flush that reached Redis", round, lost)
		}
		before, err := count(t.Context(), rdb, counts.keys[0])
		must(t, err)
		p.MuteAnswers()
		must(t, counts.load(g.addr(), 300).Run(t.Context()))
		// On an open connection the flush reaches Redis, but its reply does not reach the gateway.
		// A new connection waits for its greeting.
		if reached(before) {
			lost++
		}
		p.Cut()
		p.Heal()
		must(t, counts.load(g.addr(), 300).Run(t.Context()))
		harness.Eventually(t, 20*time.Second, func() error { return counts.matches(t.Context(), rdb) })
	}
	g.Terminate()
	if status := g.Wait(20 * time.Second); status != 0 {
		t.Errorf("the gateway ended with status %d", status)
	}
	must(t, counts.matches(t.Context(), rdb))
}

// `keys list` shows the usage of a key.
func TestUsageIsListed(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	g := startGateway(t, site{redis: r.URL()})
	k := newKey(t, r.Client(t), "acme")
	start := time.Now().Add(-time.Second)
	must(t, g.want(k.secret, 200))
	must(t, g.want(k.secret, 200))
	harness.Eventually(t, 10*time.Second, func() error {
		items := list(t, r.URL(), "acme")
		if len(items) != 1 || items[0].UsageCount != 2 || items[0].LastUsedAt.Before(start) || items[0].LastUsedAt.After(time.Now().Add(time.Second)) {
			return fmt.Errorf("listed as %+v", items)
		}
		return nil
	})
}
