package caddymodule

import (
	"fmt"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/runtime"
	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestReloadsLoseAndDoubleNoDelivery publishes events while configurations are reloaded: with other
// options of the dispatcher, with the same options, without a dispatcher, and with one that fails
// to load.
func TestReloadsLoseAndDoubleNoDelivery(t *testing.T) {
	r := startStore(t)
	receiver := harness.NewReceiver(t, harness.ReceiverOptions{})
	receiver.SetAnswer(harness.Always(harness.Answer{Status: 204}))
	st := openStore(t, r.URL())
	policy := &address.Policy{AllowNetworks: loopback}
	url := receiver.URL()
	if _, err := webhook.NewService(st, policy).Set(t.Context(), "acme", webhook.Change{URL: &url}, false); err != nil {
		t.Fatal(err)
	}
	q := queue.New(st, queue.Options{})
	published := 0
	publish := func(n int) {
		t.Helper()
		for range n {
			published++
			id := fmt.Sprint("e", published)
			if _, err := q.Publish(t.Context(), queue.Event{Name: "interview.results", OrgID: "acme", ID: id, Payload: []byte(`{"call_id":"c"}`)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	addr := harness.FreeAddr(t)
	delivering := func(option string) string {
		return site(addr, "x", fmt.Sprintf("webhooks {\nallow_networks 127.0.0.0/8\nca_file %s\n%s\n}", receiver.CAFile(), option))
	}
	for round := range 4 {
		publish(20)
		load(t, delivering(fmt.Sprintf("max_in_flight %d", 100+round))) // another dispatcher
		publish(20)
		// The same dispatcher.
		load(t, delivering(fmt.Sprintf("max_in_flight %d # again", 100+round))+"\n# changed")
		publish(20)
		if round == 2 {
			load(t, site(addr, "x", "")) // no dispatcher
			publish(5)
		}
	}
	harness.Eventually(t, 30*time.Second, func() error {
		books, err := q.Books(t.Context())
		if err != nil || books.Delivered != int64(published) || books.Waiting != 0 || books.Difference != 0 {
			return fmt.Errorf("the books are %+v, %v", books, err)
		}
		return nil
	})
	times := map[string]int{}
	for _, request := range receiver.Received() {
		times[request.Header.Get("Webhook-Id")]++
	}
	if len(times) != published {
		t.Errorf("%d events arrived, want %d", len(times), published)
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("%s arrived %d times", id, n)
		}
	}
	if _, n := runtime.InUse(); n != 1 {
		t.Errorf("%d dispatchers are in use, want 1", n)
	}
	load(t, site(addr, "x", ""))
	if _, n := runtime.InUse(); n != 0 {
		t.Errorf("without the block %d dispatchers are in use", n)
	}
	stopCaddy(t)
	nothingInUse(t)
}

func TestSameOptionsKeepTheDispatcher(t *testing.T) {
	startStore(t)
	addr := harness.FreeAddr(t)
	load(t, site(addr, "x", "webhooks"))
	before := activeApp(t).dispatcher.Load()
	load(t, site(addr, "y", "webhooks"))
	if after := activeApp(t).dispatcher.Load(); before == nil || before != after {
		t.Error("a reload that changes nothing of webhooks replaced the dispatcher")
	}
	load(t, site(addr, "y", "webhooks {\ntimeout 5s\n}"))
	if after := activeApp(t).dispatcher.Load(); after == nil || before == after {
		t.Error("a reload that changes webhooks kept the dispatcher")
	}
}
