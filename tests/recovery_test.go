package tests

import (
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestSharedWork lets two dispatchers share a backlog. Each event arrives once.
func TestSharedWork(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Delay: 20 * time.Millisecond})})
	orgs := []string{"a", "b", "c", "d"}
	for _, org := range orgs {
		h.setWebhook(org, "")
	}
	pair := []*dispatcher{h.dispatch("--max-in-flight", "32"), h.dispatch("--max-in-flight", "32")}
	for _, org := range orgs {
		h.publishMany(h.rdb, org, 0, 150)
	}
	h.awaitDrained(30*time.Second, books{Published: 600, Delivered: 600})
	for _, org := range orgs {
		if n := h.countDuplicates(h.deliveries(), org, 150); n != 0 {
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

// TestRecoveryAfterKill kills a dispatcher whose request hangs. Another dispatcher recovers its
// events within 15 s.
func TestRecoveryAfterKill(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Hang: true})})
	h.setWebhook("acme", "")
	first := h.dispatch()
	h.publishInterview("acme", "one")
	h.receiver.Wait(1, 10*time.Second)
	h.receiver.SetAnswer(nil)
	second := h.dispatch()
	first.Kill()
	killed := time.Now()
	h.awaitDrained(20*time.Second, books{Published: 1, Delivered: 1})
	if took := time.Since(killed); took > 16*time.Second {
		t.Errorf("recovered only after %v", took)
	}
	if n, err := metric(second.status, "tenzo_webhook_recovered_total"); err != nil || n < 1 {
		t.Errorf("tenzo_webhook_recovered_total is %v, %v", n, err)
	}
}

// TestFrozenDispatcher stops a dispatcher with SIGSTOP, as a frozen machine would. Another
// dispatcher recovers its events, and after SIGCONT the first one does no harm.
func TestFrozenDispatcher(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Delay: 50 * time.Millisecond})})
	h.setWebhook("acme", "")
	frozen := h.dispatch()
	h.publishMany(h.rdb, "acme", 0, 200)
	h.receiver.Wait(20, 10*time.Second)
	frozen.Freeze()
	h.dispatch()
	h.awaitDrained(40*time.Second, books{Published: 200, Delivered: 200})
	frozen.Thaw()
	h.publishMany(h.rdb, "acme", 200, 300)
	h.awaitDrained(40*time.Second, books{Published: 300, Delivered: 300})
	if n := h.countDuplicates(h.deliveries(), "acme", 300); n > 64 {
		t.Errorf("%d requests came twice", n)
	}
	frozen.Terminate()
	if status := frozen.Wait(50 * time.Second); status != 0 {
		t.Errorf("the dispatcher ended with status %d", status)
	}
}
