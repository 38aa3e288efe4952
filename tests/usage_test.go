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

// tally is what the clients saw: how many requests of each key were answered with 200.
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

// matches compares with the totals in Redis, to the unit.
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

// load is a client of one gateway that asks with all keys in turn.
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

// TestUsageIsExact counts 200,000 requests over 50 keys on two gateways, with a reload, a graceful restart and a restart of Redis in
// between. Afterwards the totals in Redis equal what the clients saw, to the unit. TENZO_TEST_REQUESTS sends another number.
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
	var restarting atomic.Bool // a is: its clients wait for it
	var work sync.WaitGroup
	for _, g := range []*gateway{a, b} {
		load := counts.load(g.addr(), requests/2)
		load.Refused = func(_ int64, err error) bool {
			if restarting.Load() || g == b {
				time.Sleep(time.Millisecond) // a pause between tries, nothing waits for it
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
	// What a process kept for itself is folded away at its graceful stop.
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

// A gateway whose Redis is away counts on; nothing is lost when it comes back, be it a second older.
func TestUsageAcrossOutage(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t, harness.AOF...)
	r.Mark()
	counts := newTally(t, r.Client(t), 5) // before the gateway, which forgets a key when its making is announced
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

// A Redis that comes back older than it was, having lost what it had acknowledged, is told again.
func TestUsageWithAnOlderRedis(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t) // what it loads at its start is the snapshot below
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

// An answer of Redis that is lost on its way makes the gateway flush again, and counts nothing twice.
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
		// A flush reaches Redis, and its answer not the gateway, where a connection was open; a new one waits for its greeting.
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

// What `keys list` shows of use.
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
