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

// publisher publishes at a steady rate and records when it published each event.
type publisher struct {
	s    *site
	orgs int

	mu sync.Mutex
	at map[string]time.Time // by event id: the time just before it was published
}

// run publishes an event at each interval, to one organization after the other, until ctx is done
// or n events are published.
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

// delays returns, sorted, the time from published to received of each event that counts selects.
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

// BenchmarkDispatcherIdle measures the time from published to received, one event at a time.
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
	b.ReportMetric(0, "ns/op") // meaningless here
}

// BenchmarkDispatcherIsolation publishes 200 events a second, spread evenly over 1,000 endpoints,
// first with all of them healthy and then with every tenth hanging, and compares the delays of the
// healthy ones. TENZO_LOAD_SECONDS sets the duration, TENZO_LOAD_ROUNDS the number of rounds.
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
	b.ReportMetric(0, "ns/op") // meaningless here
}

// isolation returns the 99th percentile of the healthy endpoints' delays in ms, without and with
// hanging ones.
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
	p.Kill() // the hanging requests are not awaited
	return without, with
}
