package dispatcher

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// BenchmarkDrain measures how fast a backlog of 2 kB events is delivered, without the network.
func BenchmarkDrain(b *testing.B) {
	for _, orgs := range []int{1, 10, 1000} {
		b.Run(fmt.Sprint("orgs-", orgs), func(b *testing.B) {
			const events = 20_000
			for b.Loop() {
				b.StopTimer()
				e := newEnvOf(b, harness.AOF...)
				for i := range orgs {
					e.webhook(fmt.Sprint("org", i))
				}
				e.fill(orgs, events)
				b.StartTimer()
				began := time.Now()
				_, stop := e.dispatch(newEndpoints(), nil)
				e.books(time.Minute, queue.Books{Published: events, Delivered: events})
				b.ReportMetric(events/time.Since(began).Seconds(), "deliveries/s")
				b.StopTimer()
				stop()
				b.StartTimer()
			}
		})
	}
}

// fill publishes a backlog.
func (e *env) fill(orgs, events int) {
	body := `{"noteId":"n","text":"` + strings.Repeat("x", 2000) + `"}`
	for i := 0; i < events; i += 500 {
		pipe := e.raw.Pipeline()
		for k := i; k < i+500; k++ {
			pipe.XAdd(e.t.Context(), &redis.XAddArgs{Stream: "tenzo:events", Values: []any{
				"event", "note.finalized", "org_id", fmt.Sprint("org", k%orgs), "payload", body, "id", fmt.Sprint("e", k),
			}})
		}
		if _, err := pipe.Exec(e.t.Context()); err != nil {
			e.t.Fatal(err)
		}
	}
}

// BenchmarkIdle measures the time from published to received while nothing else happens.
func BenchmarkIdle(b *testing.B) {
	e := newEnvOf(b, harness.AOF...)
	e.webhook("a")
	n := newEndpoints()
	e.dispatch(n, nil)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		id := e.publish("a", fmt.Sprint("e", i))
		for n.count("a", id) == 0 {
			time.Sleep(20 * time.Microsecond)
		}
		took = append(took, n.times("a", id)[0].Sub(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
