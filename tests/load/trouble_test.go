package load

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// publisher publishes at a steady pace and knows when it published what.
type publisher struct {
	s    *site
	orgs int

	mu sync.Mutex
	at map[string]time.Time // by event id: just before it was published
}

// run publishes an event each interval, to one organization after the other, until ctx is done or n are published.
func (p *publisher) run(ctx context.Context, interval time.Duration, n int) error {
	p.at = make(map[string]time.Time, n)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for range n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		values := p.s.event(p.orgs)
		p.mu.Lock()
		p.at[values[len(values)-1]] = time.Now()
		p.mu.Unlock()
		if err := p.s.rdb.XAdd(context.WithoutCancel(ctx), &redis.XAddArgs{Stream: "tenzo:events", Values: values}).Err(); err != nil {
			return err
		}
	}
	return nil
}

// delays is, sorted, how long each event took from published to received, of those that counts says count.
func (p *publisher) delays(b *testing.B, counts func(id string) bool) []float64 {
	b.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []float64
	for id, published := range p.at {
		if !counts(id) {
			continue
		}
		received, found := p.s.recv.at(id)
		if !found {
			b.Fatalf("%s has not arrived", id)
		}
		all = append(all, float64(received.Sub(published))/float64(time.Millisecond))
	}
	slices.Sort(all)
	return all
}

func everything(string) bool { return true }

func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// BenchmarkDispatcherIdle measures published to received, one event at a time.
func BenchmarkDispatcherIdle(b *testing.B) {
	const events, orgs = 500, 10
	for b.Loop() {
		s := newSite(b, orgs)
		p := s.dispatch()
		s.fill("tenzo:events", orgs, orgs) // warms up: connections, settings
		s.recv.await(b, orgs, 30*time.Second)
		pub := &publisher{s: s, orgs: orgs}
		if err := pub.run(b.Context(), 20*time.Millisecond, events); err != nil {
			b.Fatal(err)
		}
		s.recv.await(b, orgs+events, 30*time.Second)
		delays := pub.delays(b, everything)
		b.ReportMetric(quantile(delays, 0.5), "ms-median")
		b.ReportMetric(quantile(delays, 0.99), "ms-p99")
		s.finished("tenzo:events", 10*time.Second)
		end(b, p)
		s.balanced(orgs + events)
	}
	b.ReportMetric(0, "ns/op") // says nothing here
}

// BenchmarkDispatcherIsolation publishes 200 events a second, spread evenly over 1,000 endpoints, once with all of them healthy and once
// with each tenth hanging, and compares what the healthy ones notice. TENZO_LOAD_SECONDS says for how long, TENZO_LOAD_ROUNDS how often.
func BenchmarkDispatcherIsolation(b *testing.B) {
	seconds, rounds := number("TENZO_LOAD_SECONDS", 60), number("TENZO_LOAD_ROUNDS", 3)
	for b.Loop() {
		var without, with, ratios []float64
		for range rounds {
			healthy, hanging := isolation(b, seconds)
			without, with, ratios = append(without, healthy), append(with, hanging), append(ratios, hanging/healthy)
		}
		b.ReportMetric(median(without), "ms-p99-healthy")
		b.ReportMetric(median(with), "ms-p99-hanging")
		b.ReportMetric(median(ratios), "ratio")
	}
	b.ReportMetric(0, "ns/op") // says nothing here
}

// isolation returns the 99th percentile of the healthy endpoints' delays in ms, without hanging ones and with them.
func isolation(b *testing.B, seconds int) (without, with float64) {
	b.Helper()
	const orgs, each = 1000, 5 * time.Millisecond
	s := newSite(b, orgs)
	p := s.dispatch()
	s.fill("tenzo:events", 4*orgs, orgs) // warms up: connections, settings
	s.recv.await(b, 4*orgs, time.Minute)
	healthy := func(id string) bool {
		n, _ := strconv.Atoi(id[1:])
		return n%10 != 0 // event n goes to organization n modulo 1,000
	}
	measure := func(name string) float64 {
		s.recv.reset()
		pub := &publisher{s: s, orgs: orgs}
		first := s.next + 1
		if err := pub.run(b.Context(), each, seconds*int(time.Second/each)); err != nil {
			b.Fatal(err)
		}
		harness.Eventually(b, time.Minute, func() error {
			for n := first; n <= s.next; n++ {
				id := "e" + strconv.Itoa(n)
				if _, found := s.recv.at(id); healthy(id) && !found {
					return fmt.Errorf("%s has not arrived", id)
				}
			}
			return nil
		})
		delays := pub.delays(b, healthy)
		s.recv.mu.Lock()
		defer s.recv.mu.Unlock()
		b.Logf("%s: %d events to healthy endpoints: median %.2f ms, 99%% %.2f ms, worst %.2f ms; %d requests hung at once",
			name, len(delays), quantile(delays, 0.5), quantile(delays, 0.99), quantile(delays, 1), s.recv.most)
		return quantile(delays, 0.99)
	}
	without = measure("all healthy")
	s.finished("tenzo:events", time.Minute)
	for i := 0; i < orgs; i += 10 {
		s.webhook(i, "/hang/")
		s.rdb.XAdd(b.Context(), &redis.XAddArgs{Stream: "tenzo:changes", MaxLen: 10000, Approx: true, Values: []string{"webhook", org(i)}})
	}
	with = measure("each tenth hangs")
	p.Kill() // nobody waits for what hangs
	return without, with
}

// BenchmarkDispatcherKill kills one of two dispatchers twenty times while bursts are published, and starts another each time.
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
			s.recv.await(b, arrived+burst/10, time.Minute) // in the middle of it
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
	b.ReportMetric(0, "ns/op") // says nothing here
}

// BenchmarkDispatcherMemory compares the resident size of a dispatcher at the same work with a small backlog and with a million events
// behind it. TENZO_LOAD_EVENTS says how many, TENZO_LOAD_PAYLOAD how large; a million of 2 kB take 2.5 GB of Redis.
func BenchmarkDispatcherMemory(b *testing.B) {
	const orgs, small = 100, 100_000
	events := number("TENZO_LOAD_EVENTS", 1_000_000)
	for b.Loop() {
		s := newSite(b, orgs)
		s.body = document(number("TENZO_LOAD_PAYLOAD", 2000))
		// Two processes, so that the second does not begin with what the first left behind.
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
	b.ReportMetric(0, "ns/op") // says nothing here
}
