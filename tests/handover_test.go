package tests

import (
	"fmt"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestHandOver ends a dispatcher while its requests hang: what it cannot finish within its grace time is delivered by another at once,
// long before any lease would have lapsed, and nothing is charged to the events.
func TestHandOver(t *testing.T) {
	t.Parallel()
	h := newHooks(t, harness.ReceiverOptions{Answer: func(r *harness.Received) harness.Answer {
		if r.Number <= 5 {
			return harness.Answer{Hang: true}
		}
		return harness.Answer{}
	}})
	h.hook("acme", "")
	first := h.dispatch("--grace-period", "1s")
	h.publishMany(h.rdb, "acme", 0, 5)
	// One endpoint of unknown health gets its requests little by little; at least one hangs by now.
	h.receiver.Wait(1, 10*time.Second)
	first.Terminate()
	if status := first.Wait(10 * time.Second); status != 0 {
		t.Errorf("the dispatcher ended with status %d", status)
	}
	h.receiver.SetAnswer(nil)
	start := time.Now()
	h.dispatch()
	h.settle(8*time.Second, books{Published: 5, Delivered: 5})
	t.Logf("delivered %v after the hand-over", time.Since(start).Round(time.Millisecond))
}

// TestGracefulStop ends a dispatcher while requests are in flight that answer within its grace time: each event arrives once.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	h := newHooks(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Delay: 500 * time.Millisecond})})
	h.hook("acme", "")
	first := h.dispatch()
	h.publishMany(h.rdb, "acme", 0, 50)
	h.receiver.Wait(2, 10*time.Second)
	first.Terminate()
	harness.Eventually(t, 10*time.Second, func() error { // not ready while it ends, and then not there
		a, err := do(plain, request(t, "GET", first.status+"/readyz"))
		if err != nil {
			return nil //nolint:nilerr // no answer is what is waited for
		}
		return errStatusUnless(a, 503)
	})
	if status := first.Wait(20 * time.Second); status != 0 {
		t.Errorf("the dispatcher ended with status %d", status)
	}
	h.dispatch()
	h.settle(30*time.Second, books{Published: 50, Delivered: 50})
	if n := h.once(h.deliveries(), "acme", 50); n != 0 {
		t.Errorf("%d requests came twice", n)
	}
}

// TestSharedWork has two dispatchers share a backlog, each event once.
func TestSharedWork(t *testing.T) {
	t.Parallel()
	h := newHooks(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Delay: 20 * time.Millisecond})})
	orgs := []string{"a", "b", "c", "d"}
	for _, org := range orgs {
		h.hook(org, "")
	}
	pair := []*dispatcher{h.dispatch("--max-in-flight", "32"), h.dispatch("--max-in-flight", "32")}
	for _, org := range orgs {
		h.publishMany(h.rdb, org, 0, 150)
	}
	h.settle(30*time.Second, books{Published: 600, Delivered: 600})
	for _, org := range orgs {
		if n := h.once(h.deliveries(), org, 150); n != 0 {
			t.Errorf("%s: %d requests came twice", org, n)
		}
	}
	for i, d := range pair {
		n, err := metric(d.status, `tenzo_webhook_events_total{event="interview.results",outcome="delivered"}`)
		if err != nil || n < 50 {
			t.Errorf("dispatcher %d delivered %v of 600, %v", i, n, err)
		}
	}
}

// TestTakeOver kills a dispatcher whose request hangs: another one takes its work over within 15 s.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	h := newHooks(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Hang: true})})
	h.hook("acme", "")
	first := h.dispatch()
	h.interview("acme", "one")
	h.receiver.Wait(1, 10*time.Second)
	h.receiver.SetAnswer(nil)
	second := h.dispatch()
	first.Kill()
	killed := time.Now()
	h.settle(20*time.Second, books{Published: 1, Delivered: 1})
	if took := time.Since(killed); took > 16*time.Second {
		t.Errorf("taken over only after %v", took)
	}
	if n, err := metric(second.status, "tenzo_webhook_recovered_total"); err != nil || n < 1 {
		t.Errorf("tenzo_webhook_recovered_total is %v, %v", n, err)
	}
}

// TestFrozenDispatcher stops a dispatcher as a frozen machine does: its work moves on, and when it wakes up it does no harm.
func TestFrozenDispatcher(t *testing.T) {
	t.Parallel()
	h := newHooks(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Delay: 50 * time.Millisecond})})
	h.hook("acme", "")
	frozen := h.dispatch()
	h.publishMany(h.rdb, "acme", 0, 200)
	h.receiver.Wait(20, 10*time.Second)
	frozen.Freeze()
	h.dispatch()
	h.settle(40*time.Second, books{Published: 200, Delivered: 200})
	frozen.Thaw()
	h.publishMany(h.rdb, "acme", 200, 300)
	h.settle(40*time.Second, books{Published: 300, Delivered: 300})
	if n := h.once(h.deliveries(), "acme", 300); n > 64 {
		t.Errorf("%d requests came twice", n)
	}
	frozen.Terminate()
	if status := frozen.Wait(50 * time.Second); status != 0 {
		t.Errorf("the dispatcher ended with status %d", status)
	}
}

// A gateway that is told to stop while a request is under way takes no event from that moment on, however long the request takes: what
// would hold events is gone before the request has ended.
func TestStoppingGatewayTakesNoEvents(t *testing.T) {
	t.Parallel()
	h := newHooks(t, harness.ReceiverOptions{})
	h.hook("acme", "")
	k := newKey(t, h.rdb, "acme")
	upstream := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true, Answer: harness.Always(harness.Answer{Hang: true})})
	g := startGateway(t, site{
		redis: h.redis.URL(), handler: "reverse_proxy " + upstream.Addr(), tenzo: "webhooks {\nallow_networks 127.0.0.0/8\nca_file " + h.receiver.CAFile() + "\n}",
	})
	leases := func() int {
		n := 0
		keys := h.rdb.Scan(t.Context(), 0, "{tenzo:events}:lease:*", 1000).Iterator()
		for keys.Next(t.Context()) {
			n++
		}
		must(t, keys.Err())
		return n
	}
	h.interview("acme", "before")
	h.receiver.Wait(1, 10*time.Second)
	if n := leases(); n != 1 {
		t.Fatalf("%d leases, want the gateway's", n)
	}
	answered := make(chan error, 1)
	held := request(t, "GET", g.url())
	held.Header.Set("Authorization", "Bearer "+k.secret)
	go func() {
		_, err := do(plain, held)
		answered <- err
	}()
	upstream.Wait(1, 10*time.Second)
	g.Terminate()
	harness.Eventually(t, 3*time.Second, func() error { // the gateway's grace period for requests is 5 s
		if n := leases(); n != 0 {
			return fmt.Errorf("%d leases", n)
		}
		return nil
	})
	select {
	case err := <-answered:
		t.Errorf("the request had ended before: %v", err)
	default:
	}
	h.interview("acme", "after")
	if status := g.Wait(30 * time.Second); status != 0 {
		t.Errorf("the gateway ended with status %d", status)
	}
	if err := <-answered; err == nil {
		t.Error("the request, which nobody answered, has an answer")
	}
	if n := h.receiver.Count(); n != 1 {
		t.Errorf("%d deliveries, want that of the event before the stop", n)
	}
}
