package observability

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// This file holds what operate.md tells operators to give to Alertmanager, and to Prometheus beside the rules that are shipped.

// snippetFor returns the fenced block of operate.md that says it is tested by the running test.
func snippetFor(t *testing.T) string {
	t.Helper()
	_, rest, ok := strings.Cut(read(t, inConfig(t, "docs", "operate.md")), "<!-- test: "+t.Name()+" -->\n```yaml\n")
	block, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("operate.md has no such snippet")
	}
	return block
}

// matcherOfAlerts is a matcher of Alertmanager on the name of alerts.
var matcherOfAlerts = regexp.MustCompile(`^alertname =~ "([^"]+)"$`)

// The rules for Alertmanager name alerts that are there, hold back nothing of another environment, and leave no page without a cause: what
// is critical is held back by its cause only, and no cause is held back itself.
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
		t.Errorf("groups by %v, and has %d rules of inhibition", config.Route.GroupBy, len(config.InhibitRules))
	}
	severity := map[string]string{}
	for _, r := range rules(t) {
		if r.Alert != "" {
			severity[r.Alert] = r.Labels["severity"]
		}
	}
	// named are the alerts that matchers select.
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
					t.Errorf("%s names no alert", part)
				}
			}
		}
		return alerts
	}
	var sources, targets []string
	for _, r := range config.InhibitRules {
		if !slices.Equal(r.Equal, []string{"environment"}) {
			t.Errorf("%v holds back what is equal in %v", r.SourceMatchers, r.Equal)
		}
		sources, targets = append(sources, named(r.SourceMatchers)...), append(targets, named(r.TargetMatchers)...)
	}
	for _, source := range sources {
		if severity[source] != "critical" || slices.Contains(targets, source) {
			t.Errorf("%s, of severity %s, holds back others, and is held back: %v", source, severity[source], slices.Contains(targets, source))
		}
	}
}

// The rules on metrics of other exporters are as complete as ours, and Prometheus takes them.
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
			t.Errorf("%s links to %s, which is no heading", r.Alert, anchor)
		}
	}
}
