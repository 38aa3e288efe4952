package observability

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// metric is one metric as metrics.md documents it.
type metric struct {
	kind    string
	inRedis bool
	labels  map[string][]string // every label with all its values
}

var code = regexp.MustCompile("`([^`]+)`")

// cells returns the cells of a table row, or nil for any other line.
func cells(line string) []string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "| `") {
		return nil
	}
	c := strings.Split(strings.Trim(line, "|"), "|")
	for i := range c {
		c[i] = strings.TrimSpace(c[i])
	}
	return c
}

// names returns the words of a cell that stand in backquotes.
func names(cell string) []string {
	var all []string
	for _, m := range code.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

// documented reads the tables of metrics.md; passed lists the event types that the tested processes
// pass.
func documented(t *testing.T, passed ...string) map[string]metric {
	t.Helper()
	all := map[string]metric{}
	values := map[string]map[string][]string{} // by metric, then label
	for line := range strings.Lines(read(t, inConfig(t, "docs", "metrics.md"))) {
		c := cells(line)
		switch {
		case len(c) == 5 && strings.HasPrefix(c[0], "`tenzo_"):
			m := metric{kind: c[1], inRedis: c[3] == "R", labels: map[string][]string{}}
			for _, l := range names(c[2]) {
				m.labels[l] = nil
			}
			all[names(c[0])[0]] = m
		case len(c) == 3 && strings.HasPrefix(c[1], "`tenzo_"):
			label, name, list := names(c[0])[0], names(c[1])[0], names(c[2])
			if i := slices.Index(list, "pass_event"); i >= 0 {
				list = append(slices.Delete(list, i, i+1), passed...)
			}
			if values[name] == nil {
				values[name] = map[string][]string{}
			}
			values[name][label] = slices.Sorted(slices.Values(list))
		}
	}
	for name, m := range all {
		for label := range m.labels {
			if m.labels[label] = values[name][label]; m.labels[label] == nil {
				t.Errorf("metrics.md lists no values for the label %s of %s", label, name)
			}
		}
		if len(values[name]) != len(m.labels) {
			t.Errorf("metrics.md lists values for labels that %s does not have", name)
		}
	}
	if len(all) < 20 {
		t.Fatalf("metrics.md has %d metrics", len(all))
	}
	return all
}

// scrape returns the metrics of a process.
func scrape(t *testing.T, url string) (map[string]*dto.MetricFamily, []byte) {
	t.Helper()
	families, text, err := tryScrape(url)
	if err != nil {
		t.Fatal(err)
	}
	return families, text
}

func tryScrape(url string) (map[string]*dto.MetricFamily, []byte, error) {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answers %d: %s, %w", url, resp.StatusCode, text, err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	return families, text, err
}

// From its first moment a process exports exactly the metrics of metrics.md, with these types,
// labels and values.
func TestProcessesExportWhatIsDocumented(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	for _, c := range []struct {
		name, url string
		exports   func(metric string) bool
	}{
		{"gateway", p.gatewayMetrics, func(string) bool { return true }},
		{"dispatch", p.dispatchMetrics, func(m string) bool { return !strings.HasPrefix(m, "tenzo_auth_") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			families, text := scrape(t, c.url)
			want := documented(t, passedEvent)
			maps.DeleteFunc(want, func(name string, _ metric) bool { return !c.exports(name) })
			for name, f := range families {
				if !strings.HasPrefix(name, "tenzo_") {
					continue
				}
				if m, ok := want[name]; !ok {
					t.Errorf("exports %s, which metrics.md does not list", name)
				} else {
					checkFamily(t, f, m)
				}
			}
			for name := range want {
				if families[name] == nil {
					t.Errorf("does not export %s", name)
				}
			}
			for _, name := range []string{"go_goroutines", "process_start_time_seconds", "process_resident_memory_bytes"} {
				if families[name] == nil {
					t.Errorf("does not export %s", name)
				}
			}
			problems, err := promlint.New(bytes.NewReader(text)).Lint()
			if err != nil {
				t.Error(err)
			}
			for _, problem := range problems {
				if strings.HasPrefix(problem.Metric, "tenzo_") {
					t.Errorf("promlint says of %s: %s", problem.Metric, problem.Text)
				}
			}
		})
	}
}

func checkFamily(t *testing.T, f *dto.MetricFamily, m metric) {
	t.Helper()
	name := f.GetName()
	if kind := strings.ToLower(f.GetType().String()); kind != m.kind {
		t.Errorf("%s is a %s instead of a %s", name, kind, m.kind)
	}
	if len(f.GetHelp()) < 10 || strings.HasSuffix(f.GetHelp(), " ") {
		t.Errorf("%s has the help %q", name, f.GetHelp())
	}
	seen := map[string]map[string]bool{}
	for _, sample := range f.GetMetric() {
		for _, pair := range sample.GetLabel() {
			if seen[pair.GetName()] == nil {
				seen[pair.GetName()] = map[string]bool{}
			}
			seen[pair.GetName()][pair.GetValue()] = true
		}
		if m.kind == "histogram" {
			checkBuckets(t, name, sample.GetHistogram())
		}
	}
	combinations := 1
	for label, values := range m.labels {
		if got := slices.Sorted(maps.Keys(seen[label])); !slices.Equal(got, values) {
			t.Errorf("%s has the values %v of %s instead of %v", name, got, label, values)
		}
		combinations *= len(values)
		delete(seen, label)
	}
	if len(seen) > 0 {
		t.Errorf("%s has the undocumented labels %v", name, slices.Sorted(maps.Keys(seen)))
	}
	if len(f.GetMetric()) != combinations {
		t.Errorf("%s has %d series instead of %d: not every one is there from the start", name, len(f.GetMetric()), combinations)
	}
}

// bounds lists the bucket bounds that specification, alerts and panels need. The first bucket ends
// at `first` or below; each of the others is a bound, or lies below one.
var bounds = map[string]struct {
	first float64
	exact []float64
	above float64
}{
	"tenzo_auth_duration_seconds":            {250e-9, []float64{0.25, 1}, 0},
	"tenzo_auth_revocation_delay_seconds":    {1, []float64{5, 60}, 60},
	"tenzo_redis_command_duration_seconds":   {0.001, []float64{0.1}, 0},
	"tenzo_webhook_attempt_duration_seconds": {0.1, []float64{30}, 30},
	"tenzo_webhook_delivery_delay_seconds":   {0.1, []float64{5}, 126},
}

func checkBuckets(t *testing.T, name string, h *dto.Histogram) {
	t.Helper()
	var got []float64
	for _, b := range h.GetBucket() {
		got = append(got, b.GetUpperBound())
	}
	want, ok := bounds[name]
	if !ok || len(got) < 2 {
		t.Fatalf("no expected bounds for the buckets %v of %s", got, name)
	}
	if got[0] > want.first {
		t.Errorf("the first bucket of %s ends at %v", name, got[0])
	}
	for _, b := range want.exact {
		if !slices.Contains(got, b) {
			t.Errorf("%s has no bound at %v: %v", name, b, got)
		}
	}
	if !slices.ContainsFunc(got, func(b float64) bool { return b > want.above && b < 1e9 }) {
		t.Errorf("%s has no bound above %v: %v", name, want.above, got)
	}
}

// A reload removes no metric and resets no count.
func TestMetricsSurviveReloads(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	for range 3 {
		if status := p.get(t, p.key); status != http.StatusOK {
			t.Fatalf("answered %d", status)
		}
	}
	before, _ := scrape(t, p.gatewayMetrics)
	if err := p.gateway.Reload(""); err != nil {
		t.Fatal(err)
	}
	after, _ := scrape(t, p.gatewayMetrics)
	for name, f := range before {
		if !strings.HasPrefix(name, "tenzo_") {
			continue
		}
		if after[name] == nil || len(after[name].GetMetric()) != len(f.GetMetric()) {
			t.Errorf("after the reload %s is missing or has other series", name)
		}
	}
	if got := sample(after, "tenzo_auth_requests_total", "result", "allowed"); got != 3 {
		t.Errorf("after the reload %v requests were allowed, not 3", got)
	}
}

// sample returns the value of the counter or gauge whose label has the given value.
func sample(families map[string]*dto.MetricFamily, name, label, value string) float64 {
	for _, m := range families[name].GetMetric() {
		for _, pair := range m.GetLabel() {
			if pair.GetName() == label && pair.GetValue() == value {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return -1
}
