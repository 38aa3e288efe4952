package observability

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Gateway, dispatcher, Redis and a receiver go through traffic and faults under a real Prometheus.
// Every panel and every rule must have data, and the alerts for these faults must be raised.
func TestOperatorsSeeWhatHappens(t *testing.T) {
	t.Parallel()
	p := &processes{redis: harness.StartRedis(t, harness.AOF...), receiver: harness.NewReceiver(t, harness.ReceiverOptions{Answer: answerByPath, Forget: true})}
	p.command(t, "init")
	p.key = p.createKey(t)
	p.startGateway(t)
	p.startDispatch(t)
	s := newScenario(t, p)
	m := startPrometheus(t, p)
	w := m.watch(t)

	s.loseReplica(t, w)
	s.traffic(t, 8*time.Second)
	s.loseUpstream(t, w)
	for range 300 { // only a sample of the verdicts from the cache is timed
		p.get(t, p.key)
	}
	s.changeKeys(t)
	s.loseEvent(t)
	s.breakConfiguration(t, w)
	s.fillRedis(t, w)
	s.killDispatcher(t, w)
	s.floodUnknownKeys(t)
	s.traffic(t, 3*time.Second)
	w.await(t, 20*time.Second, "TenzoDispatcherDied", "firing")
	s.outage(t, w)
	s.loseMarker(t, w)

	for _, alert := range []string{
		"TenzoProcessDown", "TenzoReloadFailed", "TenzoRequestsUnavailable", "TenzoManyRefusals", "TenzoUnknownKeyFlood", "TenzoWebhookBooksDiffer",
		"TenzoWebhookAttemptsFailing", "TenzoWebhookEventsDying",
	} {
		w.await(t, 5*time.Second, alert, "pending", "firing")
	}
	for _, alert := range []string{"TenzoInvalidKeyRecord", "TenzoWebhookUnknownEvents", "TenzoWebhookEventsLost", "TenzoRedisFull"} {
		w.await(t, 5*time.Second, alert, "firing")
	}
	// Caddy counts responses on a site with a host name and on one without, under different
	// handlers.
	for _, code := range []string{"200", "502"} {
		if n, err := m.values(t.Context(), `deployment:caddy_http_responses:rate5m{code="`+code+`"} > 0`); err != nil || n == 0 {
			t.Errorf("of Caddy's responses %s there are %d values, error %v", code, n, err)
		}
	}
	checkPanelsHaveData(t, m)
	checkRulesHaveData(t, m)
}

// checkPanelsHaveData evaluates every expression of every dashboard over the whole test.
func checkPanelsHaveData(t *testing.T, m *prometheus) {
	t.Helper()
	for _, d := range dashboards(t) {
		fill := fillVariables(t, m, d)
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				n, err := m.values(t.Context(), fill.Replace(strings.TrimSuffix(target.Expr, " or vector(0)")))
				if err != nil {
					t.Errorf("%s: %s: %v: %s", d.file, p.Title, err, target.Expr)
				} else if n == 0 && !p.mayBeEmpty() {
					t.Errorf("%s: the panel %q shows nothing: %s", d.file, p.Title, target.Expr)
				}
			}
		}
		for _, a := range d.Annotations.List {
			// The companion loads no configuration, and a restart appears as another value.
			if n, err := m.values(t.Context(), fill.Replace(a.Target.Expr)); err != nil || n == 0 {
				t.Errorf("%s: the annotation %s has %d values, error %v", d.file, a.Name, n, err)
			}
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// fillVariables substitutes the variables as Grafana does where "All" is chosen: by the variable's
// value for it, else by every value that the variable's query finds.
func fillVariables(t *testing.T, m *prometheus, d dashboard) *strings.Replacer {
	t.Helper()
	pairs := []string{"$__rate_interval", "5s", "$__range", "5m"}
	for _, v := range d.Templating.List {
		found := labelValues.FindStringSubmatch(v.Query)
		if found == nil {
			continue // the data source
		}
		query, label := found[1], found[2]
		if v.AllValue != "" {
			pairs = append(pairs, "$"+v.Name, v.AllValue)
			continue
		}
		values, err := m.labelValues(t.Context(), strings.NewReplacer(pairs...).Replace(query), label)
		if err != nil || len(values) == 0 {
			t.Errorf("%s: the variable %s has the values %v, error %v", d.file, v.Name, values, err)
		}
		for i := range values {
			// Backslashes are doubled within quotes of PromQL.
			values[i] = strings.ReplaceAll(regexp.QuoteMeta(values[i]), `\`, `\\`)
		}
		pairs = append(pairs, "$"+v.Name, strings.Join(values, "|"))
	}
	return strings.NewReplacer(pairs...)
}

var selectorOfRule = regexp.MustCompile(`(?:\b(?:tenzo_|deployment:|instance:|process_|caddy_)[a-z0-9_:]+|\bup\b)(?:\{[^}]*\})?`)

// checkRulesHaveData reports rules that Prometheus cannot evaluate and rules whose metrics never
// exist.
func checkRulesHaveData(t *testing.T, m *prometheus) {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := m.get(t.Context(), "/api/v1/rules", nil, &data); err != nil {
		t.Fatal(err)
	}
	evaluated := map[string]bool{}
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			evaluated[r.Name] = true
			if r.Health != "ok" {
				t.Errorf("the rule %s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	for _, r := range rules(t) {
		name := r.Record + r.Alert
		if !evaluated[name] {
			t.Errorf("Prometheus does not have the rule %s", name)
		}
		selectors := selectorOfRule.FindAllString(r.Expr, -1)
		if len(selectors) == 0 {
			t.Errorf("the rule %s selects nothing", name)
		}
		if r.Record != "" {
			selectors = append(selectors, r.Record)
		}
		for _, s := range selectors {
			if n, err := m.values(t.Context(), s); err != nil || n == 0 {
				t.Errorf("the rule %s uses %s, which has %d values, error %v", name, s, n, err)
			}
		}
	}
}
