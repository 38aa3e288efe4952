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

// TestReloadUnderLoad reloads a gateway again and again while it serves: not one request fails, no cached key is read again, no count is
// lost.
func TestReloadUnderLoad(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	rdb := r.Client(t)
	upstream := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true, Forget: true})
	k := newKey(t, rdb, "acme") // before the gateway, which forgets a key when its making is announced
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
		// Every other time something of the site is another, so that Caddy makes new servers of everything.
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
	// A request whose answer this end did not wait for, when the load was stopped, may have been counted.
	harness.Eventually(t, 10*time.Second, func() error {
		n, err := count(t.Context(), rdb, k)
		if err == nil && (n < ok.Load() || n > ok.Load()+16) {
			err = fmt.Errorf("counted %d of %d requests", n, ok.Load())
		}
		return err
	})
	t.Logf("%d requests over 12 reloads", ok.Load())
}

// TestReloadsLeaveNothingBehind counts goroutines and connections to Redis before and after many reloads.
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
		s.tenzo = h.block(fmt.Sprintf("max_in_flight %d", 100+i%3)) // mostly another dispatcher
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
	harness.Eventually(t, 90*time.Second, func() error { // what former configurations used lingers for requests under way
		n, c := measure()
		if n > goroutines+15 || c > connections+4 {
			return fmt.Errorf("%v goroutines and %d connections; %v and %d before", n, c, goroutines, connections)
		}
		return nil
	})
}

// A reload that fails changes nothing.
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
