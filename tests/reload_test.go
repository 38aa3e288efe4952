package tests

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestReloadUnderLoad reloads a gateway repeatedly under load. No request fails, no cached key is
// read again, and no count is lost.
func TestReloadUnderLoad(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	rdb := r.Client(t)
	upstream := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true, Forget: true})
	// Before the gateway starts, which drops a key from its cache when its creation is announced.
	k := newKey(t, rdb, "acme")
	g := startGateway(t, site{redis: r.URL(), handler: "reverse_proxy " + upstream.Addr(), debugOff: true})
	must(t, g.want(k.secret, 200))
	const fromRedis = `tenzo_auth_lookups_total{source="redis"}`
	reads, err := metric(g.statusURL(), fromRedis)
	must(t, err)

	ok := atomic.Int64{}
	ok.Store(1)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	request := harness.Get("gateway", "/", "Authorization: Bearer "+k.secret)
	go func() {
		done <- harness.Load{
			Addr: g.addr(), Connections: 16, Request: func(int64) []byte { return request },
			Answered: func(_ int64, status int, _ time.Duration) {
				if status != 200 {
					t.Errorf("answered %d", status)
					return
				}
				ok.Add(1)
			},
		}.Run(ctx)
	}()
	for i := range 12 {
		// Every second reload changes the site, so that Caddy creates all servers anew.
		s := g.site
		s.before = fmt.Sprintf("header X-Generation %d", i/2)
		if err := g.Reload(g.caddyfile(s)); err != nil {
			t.Error(err)
		}
		at := ok.Load()
		harness.Eventually(t, 10*time.Second, func() error {
			if ok.Load() < at+200 {
				return fmt.Errorf("only %d requests since the reload", ok.Load()-at)
			}
			return nil
		})
	}
	stop()
	must(t, <-done)

	after, err := metric(g.statusURL(), fromRedis)
	must(t, err)
	if after != reads {
		t.Errorf("Redis was asked %v times more for a cached key", after-reads)
	}
	if admitted, err := metric(g.statusURL(), `tenzo_auth_requests_total{result="allowed"}`); err != nil || int64(admitted) < ok.Load() {
		t.Errorf("the metric counts %v of %d requests, %v", admitted, ok.Load(), err)
	}
	// When the load stops, requests in flight may be counted although their answers were not read.
	harness.Eventually(t, 10*time.Second, func() error {
		n, err := count(t.Context(), rdb, k)
		if err == nil && (n < ok.Load() || n > ok.Load()+16) {
			err = fmt.Errorf("counted %d of %d requests", n, ok.Load())
		}
		return err
	})
	t.Logf("%d requests over 12 reloads", ok.Load())
}

// TestReloadsLeaveNothingBehind compares goroutines and connections to Redis before and after many
// reloads.
func TestReloadsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	g := startGateway(t, site{redis: h.redis.URL(), tenzo: h.block("")})
	k := newKey(t, h.rdb, "acme")
	h.setWebhook("acme", "")
	use := func(id string) {
		t.Helper()
		must(t, g.want(k.secret, 200))
		at := h.receiver.Count()
		h.publishInterview("acme", id)
		h.receiver.Wait(at+1, 20*time.Second)
	}
	measure := func() (goroutines float64, connections int) {
		t.Helper()
		plain.CloseIdleConnections()
		goroutines, err := metric(g.statusURL(), "go_goroutines")
		must(t, err)
		list, err := h.rdb.ClientList(t.Context()).Result()
		must(t, err)
		return goroutines, strings.Count(list, "\n")
	}
	use("before")
	goroutines, connections := measure()
	for i := range 20 {
		s := g.site
		// Most reloads need another dispatcher.
		s.tenzo = h.block(fmt.Sprintf("max_in_flight %d", 100+i%3))
		must(t, g.Reload(g.caddyfile(s)))
		use(fmt.Sprint("reload-", i))
	}
	defer func() {
		if t.Failed() {
			if a, err := do(plain, request(t, "GET", g.Admin()+"/debug/pprof/goroutine?debug=1")); err == nil {
				t.Logf("%s", a.body)
			}
		}
	}()
	// Former configurations linger while their requests are in flight.
	harness.Eventually(t, 90*time.Second, func() error {
		n, c := measure()
		if n > goroutines+15 || c > connections+4 {
			return fmt.Errorf("%v goroutines and %d connections; %v and %d before", n, c, goroutines, connections)
		}
		return nil
	})
}

// A failed reload leaves the running configuration unchanged.
func TestFailedReloadChangesNothing(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	g := startGateway(t, site{redis: r.URL()})
	k := newKey(t, r.Client(t), "acme")
	must(t, g.want(k.secret, 200))
	for name, change := range map[string]func(*site){
		"an unknown option":           func(s *site) { s.tenzo = "colour blue" },
		"a cache_ttl beyond 60 s":     func(s *site) { s.tenzo = "keys {\n cache_ttl 61s\n}" },
		"another app that cannot run": func(s *site) { s.before = "tls /nonexistent.pem /nonexistent.key" },
	} {
		s := g.site
		change(&s)
		if err := g.Reload(g.caddyfile(s)); err == nil {
			t.Errorf("a reload with %s succeeds", name)
		}
		must(t, g.want(k.secret, 200))
	}
}
