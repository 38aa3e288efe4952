package observability

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// This file tests the snippets of operate.md for Alertmanager, and for Prometheus beside the
// shipped rules.

// snippetFor returns the fenced block of operate.md that names the running test.
func snippetFor(t *testing.T) string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, inConfig(t, "docs", "operate.md")), "<!-- test: "+t.Name()+" -->\n```yaml\n")
	block, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("operate.md has no snippet that names this test")
	}
	return block
}

// matcherOfAlerts matches an Alertmanager matcher on the label alertname.
var matcherOfAlerts = regexp.MustCompile(`^alertname =~ "([^"]+)"$`)

// The inhibition rules name existing alerts and stay within one environment. A critical alert is
// inhibited only by its cause, and no cause is inhibited itself, so some alert always remains.
func TestAlertmanagerSnippetNamesAlerts(t *testing.T) {
	var config struct {
		Route struct {
			GroupBy []string `yaml:"group_by"`
		}
		InhibitRules []struct {
			SourceMatchers []string `yaml:"source_matchers"`
			TargetMatchers []string `yaml:"target_matchers"`
			Equal          []string
		} `yaml:"inhibit_rules"`
	}
	if err := yaml.Unmarshal([]byte(snippetFor(t)), &config); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(config.Route.GroupBy, []string{"alertname", "environment"}) || len(config.InhibitRules) == 0 {
		t.Errorf("groups by %v and has %d inhibition rules", config.Route.GroupBy, len(config.InhibitRules))
	}
	severity := map[string]string{}
	for _, r := range rules(t) {
		if r.Alert != "" {
			severity[r.Alert] = r.Labels["severity"]
		}
	}
	// named returns the alerts that the matchers select.
	named := func(matchers []string) (alerts []string) {
		lesser := slices.Contains(matchers, `severity != "critical"`)
		for _, m := range matchers {
			names := matcherOfAlerts.FindStringSubmatch(m)
			if names == nil {
				continue
			}
			for part := range strings.SplitSeq(names[1], "|") {
				found := false
				for alert, s := range severity {
					if regexp.MustCompile("^(?:" + part + ")$").MatchString(alert) {
						found = true
						if !lesser || s != "critical" {
							alerts = append(alerts, alert)
						}
					}
				}
				if !found {
					t.Errorf("%s matches no alert", part)
				}
			}
		}
		return alerts
	}
	var sources, targets []string
	for _, r := range config.InhibitRules {
		if !slices.Equal(r.Equal, []string{"environment"}) {
			t.Errorf("%v inhibits alerts with equal %v", r.SourceMatchers, r.Equal)
		}
		sources, targets = append(sources, named(r.SourceMatchers)...), append(targets, named(r.TargetMatchers)...)
	}
	for _, source := range sources {
		if severity[source] != "critical" || slices.Contains(targets, source) {
			t.Errorf("%s, of severity %s, inhibits others; inhibited itself: %v", source, severity[source], slices.Contains(targets, source))
		}
	}
}

// The rules on other exporters' metrics are as complete as the shipped ones, and Prometheus accepts
// them.
func TestRulesOfOtherExportersAreValid(t *testing.T) {
	text := snippetFor(t)
	file := t.TempDir() + "/rules.yml"
	writeFile(t, file, text)
	if out, err := run(inConfig(t, "prometheus"), "promtool", "check", "rules", file); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var content struct {
		Groups []struct{ Rules []rule }
	}
	if err := yaml.Unmarshal([]byte(text), &content); err != nil {
		t.Fatal(err)
	}
	for _, r := range content.Groups[0].Rules {
		if r.For == nil || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s is incomplete: %+v", r.Alert, r)
		}
		if _, anchor, ok := strings.Cut(r.Annotations["runbook_url"], "runbooks.md#"); ok && !slices.Contains(anchors(read(t, inConfig(t, "docs", "runbooks.md"))), anchor) {
			t.Errorf("%s links to %s, which is not a heading", r.Alert, anchor)
		}
	}
}
