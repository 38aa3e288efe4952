package observability

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// prometheus is a running Prometheus with the rules of config/prometheus.
type prometheus struct {
	url   string
	start time.Time
}

// startPrometheus scrapes the processes every second, under the job names that rules and dashboards
// expect. Rules are evaluated every second as well; their `for` durations stay as shipped.
func startPrometheus(t *testing.T, p *processes) *prometheus {
	t.Helper()
	dir := t.TempDir()
	for _, f := range ruleFiles(t) {
		text := strings.ReplaceAll(strings.ReplaceAll(read(t, f), "interval: 15s", "interval: 1s"), "interval: 5s", "interval: 1s")
		writeFile(t, filepath.Join(dir, filepath.Base(f)), text)
	}
	host := func(metrics string) string {
		return strings.TrimSuffix(strings.TrimPrefix(metrics, "http://"), "/metrics")
	}
	writeFile(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}
rule_files: [recording.yml, alerts-*.yml]
scrape_configs:
  - {job_name: tenzo-gateway, static_configs: [{targets: [%q]}]}
  - {job_name: tenzo-dispatcher, static_configs: [{targets: [%q]}]}
`, host(p.gatewayMetrics), host(p.dispatchMetrics)))
	addr := harness.FreeAddr(t)
	harness.Start(t, harness.Command{Name: "prometheus", Path: "prometheus", Dir: dir, Args: []string{
		"--config.file=" + filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=" + addr, "--log.level=warn",
	}})
	m := &prometheus{url: "http://" + addr, start: time.Now()}
	harness.Eventually(t, 20*time.Second, func() error {
		up, err := m.query(t.Context(), `sum(up{job=~"tenzo-gateway|tenzo-dispatcher"}) == 2`)
		if err == nil && up == 0 {
			err = fmt.Errorf("the targets are not up")
		}
		return err
	})
	return m
}

// get queries Prometheus' HTTP API.
func (m *prometheus) get(ctx context.Context, path string, values url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+path+"?"+values.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("prometheus answered: %s", answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}

// query returns how many series an expression has now.
func (m *prometheus) query(ctx context.Context, expr string) (int, error) {
	var data struct{ Result []json.RawMessage }
	err := m.get(ctx, "/api/v1/query", url.Values{"query": {expr}}, &data)
	return len(data.Result), err
}

// labelValues returns every value a label has had since the start, as label_values() of a
// dashboard's variable does.
func (m *prometheus) labelValues(ctx context.Context, selector, label string) (values []string, err error) {
	err = m.get(ctx, "/api/v1/label/"+label+"/values", url.Values{
		"match[]": {selector}, "start": {strconv.FormatInt(m.start.Unix(), 10)}, "end": {strconv.FormatInt(time.Now().Unix()+1, 10)},
	}, &values)
	return values, err
}

// values counts the samples, NaN excluded, that an expression had at any second since the start.
func (m *prometheus) values(ctx context.Context, expr string) (int, error) {
	var data struct {
		Result []struct{ Values [][2]any }
	}
	if err := m.get(ctx, "/api/v1/query_range", url.Values{
		"query": {expr}, "step": {"1"},
		"start": {strconv.FormatInt(m.start.Unix(), 10)}, "end": {strconv.FormatInt(time.Now().Unix()+1, 10)},
	}, &data); err != nil {
		return 0, err
	}
	n := 0
	for _, series := range data.Result {
		for _, v := range series.Values {
			text, _ := v[1].(string)
			if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(f) {
				n++
			}
		}
	}
	return n, nil
}

// watch records which alerts became pending or firing, until stopped.
type watch struct {
	mu   sync.Mutex
	seen map[string]time.Time // when each name and state was first seen
	err  error
	stop func()
}

func (m *prometheus) watch(t *testing.T) *watch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watch{seen: map[string]time.Time{}}
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			var data struct {
				Alerts []struct {
					State       string
					Labels      map[string]string
					Annotations map[string]string
				}
			}
			err := m.get(ctx, "/api/v1/alerts", nil, &data)
			w.mu.Lock()
			if err != nil && ctx.Err() == nil {
				w.err = err
			}
			for _, a := range data.Alerts {
				for _, text := range a.Annotations {
					if strings.Contains(text, "<error") || strings.Contains(text, "<no value>") {
						w.err = fmt.Errorf("%s says %q", a.Labels["alertname"], text)
					}
				}
				if name := a.Labels["alertname"] + " " + a.State; w.seen[name].IsZero() {
					w.seen[name] = time.Now()
				}
			}
			w.mu.Unlock()
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	w.stop = func() {
		cancel()
		work.Wait()
	}
	t.Cleanup(w.stop)
	return w
}

// await waits until the alert has been in one of the states.
func (w *watch) await(t *testing.T, within time.Duration, alert string, states ...string) {
	t.Helper()
	harness.Eventually(t, within, func() error { return w.was(alert, states...) })
}

// was returns nil if the alert has been in one of the states.
func (w *watch) was(alert string, states ...string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, state := range states {
		if !w.seen[alert+" "+state].IsZero() {
			return w.err
		}
	}
	return fmt.Errorf("%s was not %v; seen: %v", alert, states, w.seen)
}
