package tests

import (
	"fmt"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestShutdownRequeuesUnfinishedEvents stops a dispatcher while its requests hang. Events that it
// cannot finish within its grace period are requeued: another dispatcher delivers them at once,
// long before a lease would expire, and the aborted attempts do not count.
func TestShutdownRequeuesUnfinishedEvents(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{Answer: func(r *harness.Received) harness.Answer {
		if r.Number <= 5 {
			return harness.Answer{Hang: true}
		}
		return harness.Answer{}
	}})
	h.setWebhook("acme", "")
	first := h.dispatch("--grace-period", "1s")
	h.publishMany(h.rdb, "acme", 0, 5)
	// An endpoint of unknown health gets few requests at once. At least one hangs by now.
	h.receiver.Wait(1, 10*time.Second)
	first.Terminate()
	if status := first.Wait(10 * time.Second); status != 0 {
		t.Errorf("the dispatcher ended with status %d", status)
	}
	h.receiver.SetAnswer(nil)
	start := time.Now()
	h.dispatch()
	h.awaitDrained(8*time.Second, books{Published: 5, Delivered: 5})
	t.Logf("delivered %v after the shutdown", time.Since(start).Round(time.Millisecond))
}

// TestGracefulStop stops a dispatcher while requests are in flight that are answered within its
// grace period. Each event arrives once.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Delay: 500 * time.Millisecond})})
	h.setWebhook("acme", "")
	first := h.dispatch()
	h.publishMany(h.rdb, "acme", 0, 50)
	h.receiver.Wait(2, 10*time.Second)
	first.Terminate()
	harness.Eventually(t, 10*time.Second, func() error { // not ready while it drains, and then gone
		a, err := do(plain, request(t, "GET", first.status+"/readyz"))
		if err != nil {
			return nil //nolint:nilerr // no answer means that the process has ended
		}
		return errStatusUnless(a, 503)
	})
	if status := first.Wait(20 * time.Second); status != 0 {
		t.Errorf("the dispatcher ended with status %d", status)
	}
	h.dispatch()
	h.awaitDrained(30*time.Second, books{Published: 50, Delivered: 50})
	if n := h.countDuplicates(h.deliveries(), "acme", 50); n != 0 {
		t.Errorf("%d requests came twice", n)
	}
}

// A gateway that is told to stop while it serves a request dequeues no event from that moment on,
// however long the request takes: its lease is gone before the request has ended.
func TestStoppingGatewayTakesNoEvents(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	h.setWebhook("acme", "")
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
	h.publishInterview("acme", "before")
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
	// The gateway's grace period for requests is 5 s.
	harness.Eventually(t, 3*time.Second, func() error {
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
	h.publishInterview("acme", "after")
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
