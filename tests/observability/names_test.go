package observability

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

var (
	metricName = regexp.MustCompile(`\btenzo_[a-z0-9_]+`)
	matchers   = regexp.MustCompile(`(tenzo_[a-z0-9_]+|deployment:[a-z0-9_:]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
)

// base returns the metric that a series belongs to.
func base(series string, known map[string]metric) string {
	for _, suffix := range []string{"_bucket", "_count", "_sum"} {
		if b, ok := strings.CutSuffix(series, suffix); ok && known[b].kind == "histogram" {
			return b
		}
	}
	return series
}

// Every metric named in rules, dashboards and documents exists with the labels and values used
// there, and every metric appears on a dashboard.
func TestNamesOfMetricsExist(t *testing.T) {
	known := documented(t, passedEvent)
	texts := map[string]string{}
	shown := map[string]bool{}
	for _, d := range dashboards(t) {
		var expressions []string
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				expressions = append(expressions, target.Expr)
			}
		}
		for _, v := range d.Templating.List {
			expressions = append(expressions, v.Query)
		}
		texts[d.file] = strings.Join(expressions, "\n")
		for _, n := range metricName.FindAllString(texts[d.file], -1) {
			shown[base(n, known)] = true
		}
	}
	for name := range known {
		if !shown[name] {
			t.Errorf("%s appears on no dashboard", name)
		}
	}
	for _, r := range rules(t) {
		texts[r.file] += "\n" + r.Expr
	}
	// These names appear in prose and are not metrics.
	others := []string{"tenzo_auth", "tenzo_strip", "tenzo_health", "tenzo_developer_tools", "tenzo_refusal"}
	documents := append(glob(t, inConfig(t, "docs", "*.md")), filepath.Join(harness.Root(t), "README.md"))
	for _, path := range append(documents, glob(t, inConfig(t, "prometheus", "tests", "*.yml"))...) {
		texts[filepath.Base(path)] = read(t, path)
	}
	for file, text := range texts {
		for _, n := range metricName.FindAllString(text, -1) {
			if _, ok := known[base(n, known)]; !ok && !slices.Contains(others, n) && !strings.HasSuffix(n, "_") && !strings.HasPrefix(n, "tenzo_pk_") && !recorded(t, n) {
				t.Errorf("%s names %s, which is not a metric", file, n)
			}
		}
		for _, m := range matchers.FindAllStringSubmatch(text, -1) {
			checkMatchers(t, file, m[1], m[2], known)
		}
	}
}

// recorded reports whether a name is part of a recording rule's name.
func recorded(t *testing.T, name string) bool {
	t.Helper()
	return slices.ContainsFunc(rules(t), func(r rule) bool { return slices.Contains(strings.Split(r.Record, ":"), name) })
}

// checkMatchers checks the label matchers of a selector against the documented labels.
func checkMatchers(t *testing.T, file, series, list string, known map[string]metric) {
	t.Helper()
	name := base(series, known)
	if parts := strings.Split(series, ":"); len(parts) == 3 {
		for _, suffix := range []string{"", "_total"} {
			if _, ok := known[parts[1]+suffix]; ok {
				name = parts[1] + suffix
			}
		}
	}
	if strings.HasPrefix(series, "deployment:caddy_") {
		return // Caddy's own metric, which the end-to-end test checks
	}
	for _, m := range matcher.FindAllStringSubmatch(list, -1) {
		label, values := m[1], strings.Split(m[3], "|")
		switch label {
		case "job", "instance", "environment":
			continue
		case "le":
			continue
		}
		has, ok := known[name].labels[label]
		if !ok {
			t.Errorf("%s selects %s by %s, a label it does not have", file, series, label)
		}
		for _, v := range values {
			if !slices.Contains(has, v) {
				t.Errorf("%s selects %s by %s=%q, a value it never has", file, series, label, v)
			}
		}
	}
}
