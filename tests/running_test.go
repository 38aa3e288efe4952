package tests

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestReloadWhileDelivering reloads a gateway that delivers webhooks, with the same options and with others: each event arrives once.
func TestReloadWhileDelivering(t *testing.T) {
	t.Parallel()
	h := newHooks(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Delay: 100 * time.Millisecond})})
	h.hook("acme", "")
	h.hook("globex", "")
	g := startGateway(t, site{redis: h.redis.URL(), tenzo: h.block("")})
	const events = 200
	h.publishMany(h.rdb, "acme", 0, events)
	h.publishMany(h.rdb, "globex", 0, events)
	h.receiver.Wait(5, 10*time.Second)
	for i, change := range []func(*site){
		func(s *site) { s.before = "header X-Generation 2" },      // the dispatcher goes on undisturbed
		func(s *site) { s.tenzo = h.block("max_in_flight 64") },   // another one takes its place
		func(s *site) { s.tenzo = h.block("pass_event a.hired") }, // and another
	} {
		s := g.site
		change(&s)
		if err := g.Reload(g.caddyfile(s)); err != nil {
			t.Errorf("reload %d: %v", i, err)
		}
		h.receiver.Wait(h.receiver.Count()+5, 20*time.Second)
	}
	h.settle(60*time.Second, books{Published: 2 * events, Delivered: 2 * events})
	if n := h.once(h.deliveries(), "acme", events) + h.once(h.deliveries(), "globex", events); n != 0 {
		t.Errorf("%d requests came twice", n)
	}
	// Without the block the process delivers no more, and goes on serving.
	s := g.site
	s.tenzo = ""
	must(t, g.Reload(g.caddyfile(s)))
	h.interview("acme", "later")
	must(t, g.want(makeKey("acme").secret, 401))
	h.dispatch()
	h.settle(20*time.Second, books{Published: 2*events + 1, Delivered: 2*events + 1})
	quiet(t, g.Log().String())
}

// block is a `webhooks` block under which the receiver may be reached.
func (h *hooks) block(lines string) string {
	return "webhooks {\n allow_networks 127.0.0.0/8\n ca_file " + h.receiver.CAFile() + "\n grace_period 5s\n" + lines + "\n}"
}

// TestStartupAdvice looks for one clear warning of each setting of Redis that loses events, and for none where all is well.
func TestStartupAdvice(t *testing.T) {
	t.Parallel()
	h := newHooks(t, harness.ReceiverOptions{})
	good := h.dispatch()
	h.hook("acme", "")
	h.interview("acme", "one")
	h.settle(10*time.Second, books{Published: 1, Delivered: 1})
	for _, word := range []string{"appendonly", "maxmemory", "group"} {
		if strings.Contains(good.Log().String(), word) {
			t.Errorf("with nothing wrong the log speaks of %s:\n%s", word, good.Log())
		}
	}

	bad := harness.StartRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	bad.Mark()
	rdb := bad.Client(t)
	must(t, rdb.XGroupCreateMkStream(t.Context(), "tenzo:events", "somebody-else", "0").Err())
	d := h.dispatchOn(bad.URL())
	for _, word := range []string{"appendonly", "allkeys-lru", "somebody-else"} {
		d.WaitForLog(word, 10*time.Second)
	}
	for _, word := range []string{"appendonly", "allkeys-lru", "somebody-else"} {
		n := 0
		for line := range strings.Lines(d.Log().String()) {
			if strings.Contains(line, word) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d lines speak of %s:\n%s", n, word, d.Log())
		}
	}
}

// TestClusterDelivers delivers through a Redis Cluster, with a dispatcher killed on the way.
func TestClusterDelivers(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t, harness.AOF...)
	c.Mark(t)
	rdb := c.Client(t)
	h := &hooks{t: t, redis: c.Nodes[0], receiver: harness.NewReceiver(t, harness.ReceiverOptions{})}
	must(t, rdb.HSet(t.Context(), "tenzo:webhook:acme", "url", h.receiver.URL(), "secret", hookSecret, "active", "1").Err())
	announce(t, rdb, "webhook", "acme")
	d := h.dispatchOn(c.URL())
	const events = 300
	h.publishMany(rdb, "acme", 0, events)
	h.receiver.Wait(50, 20*time.Second)
	d.Kill()
	h.dispatchOn(c.URL())
	harness.Eventually(t, 40*time.Second, func() error {
		n, err := rdb.XLen(t.Context(), "tenzo:events").Result()
		if err == nil && n > 0 {
			err = fmt.Errorf("%d events wait", n)
		}
		return err
	})
	h.once(h.deliveries(), "acme", events)
	if r := command(t, c.URL(), "events", "status"); r.Status != 0 {
		t.Errorf("events status: %+v", r)
	}
}

// TestSentinelDelivers goes on delivering after a failover; only what was in flight may come twice.
func TestSentinelDelivers(t *testing.T) {
	t.Parallel()
	s := harness.StartSentinel(t, harness.AOF...)
	s.Primary().Mark()
	h := &hooks{t: t, redis: s.Primary(), rdb: s.Primary().Client(t), receiver: harness.NewReceiver(t, harness.ReceiverOptions{})}
	h.hook("acme", "")
	h.dispatchOn(s.URL())
	h.publishMany(h.rdb, "acme", 0, 200)
	h.receiver.Wait(200, 20*time.Second)
	must(t, h.rdb.Wait(t.Context(), 1, 5*time.Second).Err()) // the replica has what was done
	s.Failover()
	h.redis, h.rdb = s.Replica(), s.Replica().Client(t)
	h.publishMany(h.rdb, "acme", 200, 400)
	h.settle(40*time.Second, books{Published: 400, Delivered: 400})
	if n := h.once(h.deliveries(), "acme", 400); n > 64 {
		t.Errorf("%d requests came twice", n)
	}
}
