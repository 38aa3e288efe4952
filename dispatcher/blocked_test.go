package dispatcher

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// A name that resolves to a blocked address is tried again like any failure: a resolver errs, too.
// A URL that names such an address is dead at once. Neither is ever dialled.
func TestBlockedAddresses(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	r := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})
	for org, url := range map[string]string{
		"errs-once": "http://once.example.com/", "errs": "http://always.example.com/", "literal": "http://10.1.2.3/", "local": "http://localhost/",
	} {
		e.do("hset", "tenzo:webhook:"+org, "url", url, "active", "1")
	}
	var mu sync.Mutex
	asked, dialed := map[string]int{}, 0
	attempts := attempt.NewSender(attempt.Options{
		Policy: &address.Policy{AllowHTTP: true},
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			asked[host]++
			if host == "once.example.com" && asked[host] > 1 {
				return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
			}
			return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
		},
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			mu.Lock()
			dialed++
			mu.Unlock()
			return new(net.Dialer).DialContext(ctx, network, r.Addr())
		},
	})
	d, _ := e.dispatchOn(e.store, attempts, func(o *Options) { o.RetryBackoff = []time.Duration{0, 0, 10 * time.Millisecond} })
	for _, org := range []string{"errs-once", "errs", "literal", "local"} {
		e.publish(org, "x")
	}
	e.books(10*time.Second, queue.Books{Published: 4, Delivered: 1, Dead: 3})
	for org, attempts := range map[string]int{"errs": 4, "literal": 0, "local": 0} {
		p, err := e.q.DeadLetters(t.Context(), org, 10, "")
		if err != nil || len(p.Items) != 1 {
			t.Fatalf("%s: %+v, %v", org, p, err)
		}
		if l := p.Items[0]; l.Reason != queue.ReasonBlocked || l.Attempts != attempts || l.LastStatus != 0 || l.LastError == "" {
			t.Errorf("%s: %+v", org, l)
		}
	}
	if n := testutil.ToFloat64(d.metrics.of("note.finalized").results[attempt.Blocked]); n != 1+4+1+1 {
		t.Errorf("%v attempts are counted as blocked", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if dialed != 1 || r.Count() != 1 || asked["always.example.com"] != 4 || asked["localhost"] != 0 {
		t.Errorf("dialed %d times, %d requests, asked %v", dialed, r.Count(), asked)
	}
}
