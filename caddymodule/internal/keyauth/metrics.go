package keyauth

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// This file holds the tenzo_auth_* metrics (specification.md, section 11). What every admitted
// request counts is counted in stripes, so that requests with different keys do not slow each other
// down. Everything else is rare.

// result indexes tenzo_auth_requests_total.
type result int

const (
	resultAllowed result = iota
	resultMissing
	resultInvalid
	resultMalformed
	resultUnknown
	resultRevoked
	resultExpired
	resultTooMany
	resultUnavailable
	resultBadRecord
	numResults
)

var resultNames = [numResults]string{
	"allowed", codeMissing, codeInvalid, codeMalformed, codeUnknown, codeRevoked, codeExpired, codeTooMany, codeUnavailable, codeBadRecord,
}

var resultOf = func() map[string]result {
	m := map[string]result{}
	for r, name := range resultNames {
		m[name] = result(r)
	}
	return m
}()

// source indexes tenzo_auth_lookups_total: where the verdict on a well-formed key came from.
type source int

const (
	sourceCache source = iota
	sourceRedis
	sourceShared // waited for another request's read, or found the circuit breaker open
	sourceNegative
	numSources
	sourceNone source = -1 // refused before anything was looked up
)

var sourceNames = [numSources]string{"cache", "redis", "shared", "negative"}

// The results of a flush of usage counts.
const (
	flushOK = iota
	flushFailed
)

var flushNames = [...]string{"ok", "error"}

// sampleEvery is of how many requests admitted from the cache one has its duration observed. It is
// a power of two.
const sampleEvery = 64

const stripes = 64

// Metrics are the tenzo_auth_* collectors. One value serves any number of Auths, so that its
// counters outlive them.
type Metrics struct {
	hits      [stripes]stripe // requests admitted from the cache, by key
	results   [numResults]atomic.Uint64
	lookups   [numSources]atomic.Uint64
	evictions atomic.Uint64
	flushes   [len(flushNames)]atomic.Uint64

	durations       [numSources]prometheus.Observer
	durationVec     *prometheus.HistogramVec
	revocationDelay prometheus.Histogram

	mu    sync.Mutex
	auths map[*Auth]struct{} // the sources of the gauges
}

type stripe struct {
	n atomic.Uint64
	_ [128 - 8]byte
}

// NewMetrics returns the collectors, with every label value present from the start.
func NewMetrics() *Metrics {
	m := &Metrics{
		auths: map[*Auth]struct{}{},
		durationVec: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tenzo_auth_duration_seconds",
			Help: "From reading the Authorization header to the verdict, by where the verdict came from; a sample of those from the cache.",
			Buckets: []float64{
				250e-9, 500e-9, 1e-6, 2.5e-6, 5e-6, 10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6,
				1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1,
			},
		}, []string{"source"}),
		revocationDelay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tenzo_auth_revocation_delay_seconds",
			Help:    "From the announcement of a change to the moment this process stopped trusting the key.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120},
		}),
	}
	for s, name := range sourceNames {
		m.durations[s] = m.durationVec.WithLabelValues(name)
	}
	return m
}

// Collectors returns what to register.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.durationVec, m.revocationDelay, (*counted)(m)}
}

// refused counts a refusal.
func (m *Metrics) refused(f *Refusal) { m.results[resultOf[f.Code]].Add(1) }

// flushed counts a flush of usage counts.
func (m *Metrics) flushed(ok bool) {
	if ok {
		m.flushes[flushOK].Add(1)
	} else {
		m.flushes[flushFailed].Add(1)
	}
}

// cacheHit counts a request admitted from the cache and reports whether to observe its duration.
func (m *Metrics) cacheHit(d *digest) bool {
	return m.hits[int(d[2])%stripes].n.Add(1)%sampleEvery == 1
}

func (m *Metrics) attach(a *Auth) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.auths[a] = struct{}{}
}

func (m *Metrics) detach(a *Auth) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.auths, a)
}

// gauges adds up the gauges of all Auths, and takes the worst staleness.
func (m *Metrics) gauges() (entries, pending, staleness float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for a := range m.auths {
		entries += float64(a.valid.Load().len())
		pending += float64(a.usage.Pending())
		proven := a.provenAt()
		if proven.IsZero() {
			proven = a.started
		}
		staleness = max(staleness, time.Since(proven).Seconds())
	}
	return entries, pending, staleness
}

// counted collects what is counted without Prometheus' own collectors.
type counted Metrics

var (
	requestsDesc  = desc("requests_total", "Requests by result: allowed, or the code of the refusal.", "result")
	lookupsDesc   = desc("lookups_total", "Requests with a well-formed key, by where the verdict came from.", "source")
	entriesDesc   = desc("cache_entries", "Good keys held in the cache.")
	evictionsDesc = desc("cache_evictions_total", "Good keys that had to leave the cache for others.")
	stalenessDesc = desc("staleness_seconds", "How old the oldest change could be that this process has not seen.")
	pendingDesc   = desc("usage_pending", "Counted uses that Redis does not have yet.")
	flushesDesc   = desc("usage_flushes_total", "Flushes of usage counts by result.", "result")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tenzo_auth_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (*counted) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requestsDesc, lookupsDesc, entriesDesc, evictionsDesc, stalenessDesc, pendingDesc, flushesDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *counted) Collect(ch chan<- prometheus.Metric) {
	m := (*Metrics)(c)
	counter := func(d *prometheus.Desc, v uint64, label ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), label...)
	}
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	var hits uint64
	for i := range m.hits {
		hits += m.hits[i].n.Load()
	}
	for r, name := range resultNames {
		n := m.results[r].Load()
		if result(r) == resultAllowed {
			n += hits
		}
		counter(requestsDesc, n, name)
	}
	for s, name := range sourceNames {
		n := m.lookups[s].Load()
		if source(s) == sourceCache {
			n += hits
		}
		counter(lookupsDesc, n, name)
	}
	for r, name := range flushNames {
		counter(flushesDesc, m.flushes[r].Load(), name)
	}
	counter(evictionsDesc, m.evictions.Load())
	entries, pending, staleness := m.gauges()
	gauge(entriesDesc, entries)
	gauge(pendingDesc, pending)
	gauge(stalenessDesc, staleness)
}
