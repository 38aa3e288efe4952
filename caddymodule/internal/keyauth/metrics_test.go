package keyauth

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// gathered is the content of a registry.
type gathered struct {
	samples map[string]float64   // by `name{label=value}`; of histograms the number of observations
	sums    map[string]float64   // of histograms
	bounds  map[string][]float64 // of histograms
}

func gather(t *testing.T, m *Metrics) gathered {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	for _, c := range m.Collectors() {
		if err := reg.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	g := gathered{map[string]float64{}, map[string]float64{}, map[string][]float64{}}
	for _, family := range families {
		for _, sample := range family.Metric {
			name := family.GetName()
			for _, l := range sample.Label {
				name += fmt.Sprintf("{%s=%s}", l.GetName(), l.GetValue())
			}
			switch {
			case sample.Counter != nil:
				g.samples[name] = sample.Counter.GetValue()
			case sample.Gauge != nil:
				g.samples[name] = sample.Gauge.GetValue()
			case sample.Histogram != nil:
				g.samples[name] = float64(sample.Histogram.GetSampleCount())
				g.sums[name] = sample.Histogram.GetSampleSum()
				for _, b := range sample.Histogram.Bucket {
					g.bounds[name] = append(g.bounds[name], b.GetUpperBound())
				}
			}
		}
	}
	return g
}

// The metrics are exactly those of specification.md, section 11, and all are present from the
// start.
func TestMetricsAreThoseOfTheSpecification(t *testing.T) {
	g := gather(t, NewMetrics())
	var got []string
	for name, v := range g.samples {
		got = append(got, name)
		want(t, name, v, 0)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{
		"tenzo_auth_cache_entries",
		"tenzo_auth_cache_evictions_total",
		"tenzo_auth_duration_seconds{source=cache}",
		"tenzo_auth_duration_seconds{source=negative}",
		"tenzo_auth_duration_seconds{source=redis}",
		"tenzo_auth_duration_seconds{source=shared}",
		"tenzo_auth_lookups_total{source=cache}",
		"tenzo_auth_lookups_total{source=negative}",
		"tenzo_auth_lookups_total{source=redis}",
		"tenzo_auth_lookups_total{source=shared}",
		"tenzo_auth_requests_total{result=allowed}",
		"tenzo_auth_requests_total{result=expired_api_key}",
		"tenzo_auth_requests_total{result=invalid_key_record}",
		"tenzo_auth_requests_total{result=invalid_request}",
		"tenzo_auth_requests_total{result=key_store_unavailable}",
		"tenzo_auth_requests_total{result=malformed_api_key}",
		"tenzo_auth_requests_total{result=missing_api_key}",
		"tenzo_auth_requests_total{result=revoked_api_key}",
		"tenzo_auth_requests_total{result=too_many_unknown_keys}",
		"tenzo_auth_requests_total{result=unknown_api_key}",
		"tenzo_auth_revocation_delay_seconds",
		"tenzo_auth_staleness_seconds",
		"tenzo_auth_usage_flushes_total{result=error}",
		"tenzo_auth_usage_flushes_total{result=ok}",
		"tenzo_auth_usage_pending",
	}, got); diff != "" {
		t.Error(diff)
	}
	if first := g.bounds["tenzo_auth_duration_seconds{source=cache}"][0]; first > 250e-9 {
		t.Errorf("the first bound of the duration is %g s", first)
	}
	bounds := g.bounds["tenzo_auth_revocation_delay_seconds"]
	if last := bounds[len(bounds)-1]; last <= 60 || math.IsInf(last, 0) {
		t.Errorf("the last bound of the delay is %g s", last)
	}
}

func TestMetricsCount(t *testing.T) {
	m := NewMetrics()
	proven := time.Now().Add(-3 * time.Second)
	f := newFixture(Options{Metrics: m, UnknownKeyBurst: 1, ProvenAt: func() time.Time { return proven }})
	f.use(t, "k1", 1+2*sampleEvery) // once from Redis
	f.use(t, "k2", 1)
	for range 3 {
		f.ask(testKey("unknown"))
	}
	f.ask(testKey("another"))
	f.Authenticate(t.Context(), nil, "")
	f.usage.Flush(t.Context())
	f.use(t, "k1", 4)
	f.KeyChanged(hashOf("k1"), time.Unix(0, f.hands.wall.Load()).Add(-20*time.Millisecond))
	// By a clock that is ahead.
	f.KeyChanged(hashOf("k2"), time.Unix(0, f.hands.wall.Load()).Add(time.Hour))
	f.KeyChanged(hashOf("unknown"), time.Unix(0, f.hands.wall.Load())) // not a valid key
	// The client gets another token.
	f.hands.pass(time.Second)
	f.use(t, "k2", 1)

	g := gather(t, m)
	for name, v := range map[string]float64{
		"tenzo_auth_requests_total{result=allowed}":               1 + 2*sampleEvery + 1 + 4 + 1,
		"tenzo_auth_requests_total{result=unknown_api_key}":       3,
		"tenzo_auth_requests_total{result=too_many_unknown_keys}": 1,
		"tenzo_auth_requests_total{result=missing_api_key}":       1,
		"tenzo_auth_lookups_total{source=cache}":                  2*sampleEvery + 4,
		"tenzo_auth_lookups_total{source=redis}":                  4,
		"tenzo_auth_lookups_total{source=negative}":               2,
		"tenzo_auth_duration_seconds{source=cache}":               3,
		"tenzo_auth_duration_seconds{source=redis}":               4,
		"tenzo_auth_duration_seconds{source=negative}":            2,
		"tenzo_auth_cache_entries":                                1,
		"tenzo_auth_usage_pending":                                5,
		"tenzo_auth_usage_flushes_total{result=ok}":               1,
		"tenzo_auth_revocation_delay_seconds":                     2,
	} {
		want(t, name, g.samples[name], v)
	}
	if s := g.samples["tenzo_auth_staleness_seconds"]; s < 3 || s > 60 {
		t.Errorf("staleness is %g s", s)
	}
	if sum := g.sums["tenzo_auth_revocation_delay_seconds"]; math.Abs(sum-0.02) > 1e-9 {
		t.Errorf("the delays add up to %g s", sum)
	}

	f.Stop(t.Context()) // its gauges disappear, its counters stay
	g = gather(t, m)
	want(t, "entries after the stop", g.samples["tenzo_auth_cache_entries"], 0)
	want(t, "staleness after the stop", g.samples["tenzo_auth_staleness_seconds"], 0)
	want(t, "allowed after the stop", g.samples["tenzo_auth_requests_total{result=allowed}"], 1+2*sampleEvery+1+4+1)
}
