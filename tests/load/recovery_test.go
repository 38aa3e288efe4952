package load

import (
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// BenchmarkDispatcherKill publishes bursts, kills one of two dispatchers twenty times, and starts
// another each time.
func BenchmarkDispatcherKill(b *testing.B) {
	const orgs, kills, burst = 20, 20, 1500
	for b.Loop() {
		s := newSite(b, orgs)
		pair := [2]*harness.Process{s.dispatch(), s.dispatch()}
		s.fill("tenzo:events", orgs, orgs)
		s.recv.await(b, orgs, 30*time.Second)
		var last time.Time
		for kill := range kills {
			arrived := s.recv.events()
			s.fill("tenzo:events", burst, orgs)
			s.recv.await(b, arrived+burst/10, time.Minute) // during the burst
			pair[kill%2].Kill()
			last = time.Now()
			pair[kill%2] = s.dispatch()
		}
		total := orgs + kills*burst
		_, end := s.recv.await(b, total, 5*time.Minute)
		s.finished("tenzo:events", time.Minute)
		s.balanced(int64(total))
		s.recv.mu.Lock()
		duplicates := s.recv.requests - len(s.recv.arrived)
		s.recv.mu.Unlock()
		b.Logf("%d events, all delivered; %d duplicates (%.1f a kill); the last arrived %.1f s after the last kill",
			total, duplicates, float64(duplicates)/kills, end.Sub(last).Seconds())
		b.ReportMetric(float64(duplicates)/kills, "duplicates/kill")
		b.ReportMetric(max(0, end.Sub(last).Seconds()), "s-after-last-kill")
	}
	b.ReportMetric(0, "ns/op") // meaningless here
}
