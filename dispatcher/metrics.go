package dispatcher

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// The outcomes of events, as tenzo_webhook_events_total has them.
const (
	outcomeDelivered = "delivered"
	outcomeDead      = "dead"
	outcomeSkipped   = "skipped"
	outcomeDuplicate = "duplicate"
)

// Metrics are the collectors `tenzo_webhook_*` of specification.md, section 11. One Metrics
// outlives many dispatchers, so that counts go on over a reload.
type Metrics struct {
	events    *prometheus.CounterVec
	attempts  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	delay     *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	recovered prometheus.Counter
	lost      prometheus.Counter
	dropped   prometheus.Counter

	parked, retrying, backlog, oldest, dead, difference prometheus.Gauge

	mu    sync.RWMutex
	named map[string]*eventMetrics
}

// eventMetrics are the metrics of one event name, bound once.
type eventMetrics struct {
	outcomes map[string]prometheus.Counter
	results  map[string]prometheus.Counter
	duration prometheus.Observer
	delay    prometheus.Observer
}

// NewMetrics returns metrics in which nothing has happened yet. The values of every label exist
// from the start; New adds those of further events.
func NewMetrics() *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "tenzo_webhook_" + name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "tenzo_webhook_" + name, Help: help})
	}
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenzo_webhook_events_total", Help: "Events finished by this process, by how they ended.",
		}, []string{"event", "outcome"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenzo_webhook_attempts_total", Help: "Attempts made by this process, by how they ended.",
		}, []string{"event", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tenzo_webhook_attempt_duration_seconds", Help: "How long an attempt took until its status arrived or it failed.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 32},
		}, []string{"event"}),
		delay: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tenzo_webhook_delivery_delay_seconds", Help: "From published to acknowledged.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 130, 600, 3600, 86400},
		}, []string{"event"}),
		inFlight:   gauge("in_flight", "Events that this process holds in memory."),
		recovered:  counter("recovered_total", "Events that this process took over from dead ones."),
		lost:       counter("lost_total", "Events found missing from the books; must stay 0."),
		dropped:    counter("dead_dropped_total", "Dead events dropped by dead_limit."),
		parked:     gauge("parked", "Events parked in Redis until their endpoint has room; the same from every process."),
		retrying:   gauge("retrying", "Events waiting in Redis for their next attempt; the same from every process."),
		backlog:    gauge("backlog", "Events not finished yet; the same from every process."),
		oldest:     gauge("oldest_event_age_seconds", "Age of the oldest event not finished yet; the same from every process."),
		dead:       gauge("dead_letters", "Dead events kept; the same from every process."),
		difference: gauge("books_difference", "What is missing from the books; must stay 0; the same from every process."),
		named:      map[string]*eventMetrics{},
	}
	m.prepare(append(payload.Events(), payload.UnknownLabel))
	return m
}

// prepare initialises every label value of the events to zero.
func (m *Metrics) prepare(events []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range events {
		if m.named[e] != nil {
			continue
		}
		n := &eventMetrics{
			outcomes: map[string]prometheus.Counter{}, results: map[string]prometheus.Counter{},
			duration: m.duration.WithLabelValues(e), delay: m.delay.WithLabelValues(e),
		}
		for _, o := range []string{outcomeDelivered, outcomeDead, outcomeSkipped, outcomeDuplicate} {
			n.outcomes[o] = m.events.WithLabelValues(e, o)
		}
		for _, r := range attempt.Classes() {
			n.results[r] = m.attempts.WithLabelValues(e, r)
		}
		m.named[e] = n
	}
}

// of returns the metrics of an event.
func (m *Metrics) of(event string) *eventMetrics {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if n := m.named[event]; n != nil {
		return n
	}
	return m.named[payload.UnknownLabel]
}

// rejected counts events that a step of the queue finished without leasing them.
func (m *Metrics) rejected(all []queue.RejectedEvent) {
	for _, o := range all {
		outcome := outcomeDuplicate
		if o.Dead {
			outcome = outcomeDead
		}
		m.of(o.Event).outcomes[outcome].Inc()
	}
}

// attempted counts an attempt.
func (e *eventMetrics) attempted(r attempt.Result) {
	c := e.results[r.Class]
	if c == nil {
		c = e.results[attempt.Other]
	}
	c.Inc()
	e.duration.Observe(r.Duration.Seconds())
}

// delivered observes how long an event took from its publication, if that is known, to now.
func (e *eventMetrics) delivered(publishedAt time.Time) {
	if !publishedAt.IsZero() {
		e.delay.Observe(max(0, time.Since(publishedAt).Seconds()))
	}
}

// show sets the gauges of what is in Redis.
func (m *Metrics) show(t queue.Totals) {
	m.parked.Set(float64(t.Parked))
	m.retrying.Set(float64(t.Retrying))
	m.backlog.Set(float64(t.Waiting))
	m.oldest.Set(t.OldestAge.Seconds())
	m.dead.Set(float64(t.DeadLetters))
	m.difference.Set(float64(t.Difference))
	m.lost.Add(float64(t.Lost))
}

// Collectors returns what to register.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.events, m.attempts, m.duration, m.delay, m.inFlight, m.recovered, m.lost, m.dropped,
		m.parked, m.retrying, m.backlog, m.oldest, m.dead, m.difference,
	}
}
