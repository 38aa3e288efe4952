package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

// Attempts older than 30 days are dropped when the next one is logged.
func TestDeliveryRetention(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		old := time.Now().Add(-deliveryRetention).UnixMilli()
		for _, at := range []int64{1, old - 1000, old + 60_000} {
			e.do("xadd", "tenzo:deliveries:org", fmt.Sprint(at, "-0"), "id", fmt.Sprint(at))
		}
		if err := e.q.LogAttempt(t.Context(), "org", Delivery{ID: "new", Event: "e", At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if n := e.raw.XLen(t.Context(), "tenzo:deliveries:org").Val(); n != 2 {
			t.Errorf("%d entries are kept", n)
		}
	})
}

func TestDeliveries(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		at := time.Now().UTC().Truncate(time.Millisecond)
		for i := range 1010 {
			d := Delivery{ID: fmt.Sprint(i), Event: "note.finalized", Attempt: 1, Status: 200, Duration: 5 * time.Millisecond, At: at}
			if i == 1009 {
				d.Status, d.Error = 0, "no answer within 30s"
			}
			if err := e.q.LogAttempt(t.Context(), "org", d); err != nil {
				t.Fatal(err)
			}
		}
		var all []Delivery
		cursor := ""
		for range 20 {
			p := must[config.Page[Delivery]](t)(e.q.Deliveries(t.Context(), "org", 300, cursor))
			all = append(all, p.Items...)
			if cursor = p.NextCursor; cursor == "" {
				break
			}
		}
		if len(all) != 1000 || all[999].ID != "10" {
			t.Errorf("%d attempts", len(all))
		}
		want := Delivery{ID: "1009", Event: "note.finalized", Attempt: 1, Error: "no answer within 30s", Duration: 5 * time.Millisecond, At: at}
		if d := cmp.Diff(want, all[0]); d != "" {
			t.Error(d)
		}
		if ttl := e.raw.PTTL(t.Context(), "tenzo:deliveries:org").Val(); ttl < 29*24*time.Hour {
			t.Errorf("kept for %s", ttl)
		}
	})
}
