package tests

import (
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestReloadWhileDelivering reloads a gateway that delivers webhooks, with unchanged and with
// changed options. Each event arrives once.
func TestReloadWhileDelivering(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Delay: 100 * time.Millisecond})})
	h.setWebhook("acme", "")
	h.setWebhook("globex", "")
	g := startGateway(t, site{redis: h.redis.URL(), tenzo: h.block("")})
	const events = 200
	h.publishMany(h.rdb, "acme", 0, events)
	h.publishMany(h.rdb, "globex", 0, events)
	h.receiver.Wait(5, 10*time.Second)
	for i, change := range []func(*site){
		func(s *site) { s.before = "header X-Generation 2" },      // the dispatcher stays
		func(s *site) { s.tenzo = h.block("max_in_flight 64") },   // a new dispatcher replaces it
		func(s *site) { s.tenzo = h.block("pass_event a.hired") }, // and again
	} {
		s := g.site
		change(&s)
		if err := g.Reload(g.caddyfile(s)); err != nil {
			t.Errorf("reload %d: %v", i, err)
		}
		h.receiver.Wait(h.receiver.Count()+5, 20*time.Second)
	}
	h.awaitDrained(60*time.Second, books{Published: 2 * events, Delivered: 2 * events})
	if n := h.countDuplicates(h.deliveries(), "acme", events) + h.countDuplicates(h.deliveries(), "globex", events); n != 0 {
		t.Errorf("%d requests came twice", n)
	}
	// Without the block the process stops delivering and keeps serving.
	s := g.site
	s.tenzo = ""
	must(t, g.Reload(g.caddyfile(s)))
	h.publishInterview("acme", "later")
	must(t, g.want(makeKey("acme").secret, 401))
	h.dispatch()
	h.awaitDrained(20*time.Second, books{Published: 2*events + 1, Delivered: 2*events + 1})
	checkNoSecrets(t, g.Log().String())
}

// block returns a `webhooks` block that allows deliveries to the receiver.
func (h *webhookEnv) block(lines string) string {
	return "webhooks {\n allow_networks 127.0.0.0/8\n ca_file " + h.receiver.CAFile() + "\n grace_period 5s\n" + lines + "\n}"
}
