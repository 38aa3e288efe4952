package load

import (
	"testing"
	"time"
)

// BenchmarkDispatcherMemory compares the resident size of a dispatcher with a small backlog and
// with one of a million events. TENZO_LOAD_EVENTS sets the number of events and TENZO_LOAD_PAYLOAD
// their size. A million events of 2 kB take 2.5 GB of Redis.
func BenchmarkDispatcherMemory(b *testing.B) {
	const orgs, small = 100, 100_000
	events := number("TENZO_LOAD_EVENTS", 1_000_000)
	for b.Loop() {
		s := newSite(b, orgs)
		s.body = document(number("TENZO_LOAD_PAYLOAD", 2000))
		// Two processes, so that the second does not start with the heap of the first.
		peak := func(backlog int) float64 {
			s.fill("tenzo:events", backlog, orgs)
			s.recv.reset()
			p := s.dispatch()
			most := int64(0)
			for arrived := 0; arrived < small*9/10; arrived = s.recv.events() {
				rss, err := p.RSS()
				if err != nil {
					b.Fatal(err)
				}
				most = max(most, rss)
				select {
				case <-p.Exited():
					b.Fatal("the dispatcher has ended")
				case <-time.After(20 * time.Millisecond):
				}
			}
			end(b, p)
			return float64(most) / (1 << 20)
		}
		few := peak(small)
		many := peak(events)
		b.Logf("at most %.0f MB with %d events behind it, %.0f MB with %d", few, small, many, events)
		b.ReportMetric(few, "MB-small")
		b.ReportMetric(many, "MB-large")
		b.ReportMetric(many-few, "MB-difference")
	}
	b.ReportMetric(0, "ns/op") // meaningless here
}
