package tests

import (
	"fmt"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestClusterDelivers delivers through a Redis Cluster, and kills a dispatcher meanwhile.
func TestClusterDelivers(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t, harness.AOF...)
	c.Mark(t)
	rdb := c.Client(t)
	h := &webhookEnv{t: t, redis: c.Nodes[0], receiver: harness.NewReceiver(t, harness.ReceiverOptions{})}
	must(t, rdb.HSet(t.Context(), "tenzo:webhook:acme", "url", h.receiver.URL(), "secret", webhookSecret, "active", "1").Err())
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
	h.countDuplicates(h.deliveries(), "acme", events)
	if r := command(t, c.URL(), "events", "status"); r.Status != 0 {
		t.Errorf("events status: %+v", r)
	}
}

// TestSentinelDelivers continues to deliver after a failover. Only events in flight may arrive
// twice.
func TestSentinelDelivers(t *testing.T) {
	t.Parallel()
	s := harness.StartSentinel(t, harness.AOF...)
	s.Primary().Mark()
	h := &webhookEnv{t: t, redis: s.Primary(), rdb: s.Primary().Client(t), receiver: harness.NewReceiver(t, harness.ReceiverOptions{})}
	h.setWebhook("acme", "")
	h.dispatchOn(s.URL())
	h.publishMany(h.rdb, "acme", 0, 200)
	h.receiver.Wait(200, 20*time.Second)
	must(t, h.rdb.Wait(t.Context(), 1, 5*time.Second).Err()) // the replica has all writes
	s.Failover()
	h.redis, h.rdb = s.Replica(), s.Replica().Client(t)
	h.publishMany(h.rdb, "acme", 200, 400)
	h.awaitDrained(40*time.Second, books{Published: 400, Delivered: 400})
	if n := h.countDuplicates(h.deliveries(), "acme", 400); n > 64 {
		t.Errorf("%d requests came twice", n)
	}
}
