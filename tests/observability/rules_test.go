package observability

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// rule is a recording rule or an alert.
type rule struct {
	Record      string
	Alert       string
	Expr        string
	For         *string
	Labels      map[string]string
	Annotations map[string]string
	file        string
}

// rules returns every rule under config/prometheus.
func rules(t *testing.T) []rule {
	t.Helper()
	var all []rule
	for _, path := range ruleFiles(t) {
		var f struct {
			Groups []struct{ Rules []rule }
		}
		readYAML(t, path, &f)
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				r.file = filepath.Base(path)
				all = append(all, r)
			}
		}
	}
	return all
}

// ruleFiles returns the files that the example configuration loads.
func ruleFiles(t *testing.T) []string {
	t.Helper()
	var c struct {
		RuleFiles []string `yaml:"rule_files"`
	}
	readYAML(t, inConfig(t, "prometheus", "prometheus.yml"), &c)
	for i, f := range c.RuleFiles {
		c.RuleFiles[i] = inConfig(t, "prometheus", f)
	}
	return c.RuleFiles
}

func TestPrometheusAcceptsItsConfiguration(t *testing.T) {
	if out, err := run(inConfig(t, "prometheus"), "promtool", "check", "config", "prometheus.yml"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	loaded := ruleFiles(t)
	for _, f := range glob(t, inConfig(t, "prometheus", "*.yml")) {
		if filepath.Base(f) != "prometheus.yml" && !slices.Contains(loaded, f) {
			t.Errorf("prometheus.yml does not load %s", filepath.Base(f))
		}
	}
}

func TestRulesPassTheirTests(t *testing.T) {
	args := append([]string{"test", "rules"}, glob(t, inConfig(t, "prometheus", "tests", "*.yml"))...)
	if out, err := run(inConfig(t, "prometheus"), "promtool", args...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// Every alert has a severity, a summary, a description and the link of an existing runbook.
func TestAlertsAreComplete(t *testing.T) {
	runbooks := headings(t, "runbooks.md")
	name := regexp.MustCompile(`^Tenzo([A-Z][a-z]+)+$`)
	seen := map[string]bool{}
	for _, r := range rules(t) {
		if r.Alert == "" {
			if !regexp.MustCompile(`^[a-z_]+:[a-z0-9_]+:[a-z0-9_]+$`).MatchString(r.Record) {
				t.Errorf("%s: the recording rule %q is not named level:metric:operation", r.file, r.Record)
			}
			continue
		}
		complain := func(format string, args ...any) {
			t.Errorf("%s: %s "+format, append([]any{r.file, r.Alert}, args...)...)
		}
		if !name.MatchString(r.Alert) || seen[r.Alert] {
			complain("has a name of another style, or twice")
		}
		seen[r.Alert] = true
		if r.For == nil {
			complain("has no `for`")
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || len(r.Labels) != 1 {
			complain("has the labels %v", r.Labels)
		}
		if got := slices.Sorted(maps.Keys(r.Annotations)); !slices.Equal(got, []string{"description", "runbook_url", "summary"}) {
			complain("has the annotations %v", got)
		}
		if s := r.Annotations["summary"]; strings.Contains(s, "{{") || !strings.HasSuffix(s, ".") {
			complain("has a summary with a template, or no sentence: %q", s)
		}
		if bad := rawNumber.FindString(r.Annotations["description"]); bad != "" {
			complain("shows a number as it is computed: %s", bad)
		}
		const runbook = "https://github.com/tenzo-ai/tenzo-gateway/blob/main/config/docs/runbooks.md#"
		anchor, ok := strings.CutPrefix(r.Annotations["runbook_url"], runbook)
		if !ok || anchor != strings.ToLower(r.Alert) {
			complain("links to %q", r.Annotations["runbook_url"])
		}
		if !slices.Contains(runbooks, r.Alert) {
			complain("has no heading in runbooks.md")
		}
	}
	for _, h := range runbooks {
		if strings.HasPrefix(h, "Tenzo") && !seen[h] {
			t.Errorf("runbooks.md has a heading for %s, which is not an alert", h)
		}
	}
}

// rawNumber finds a value in an alert's text that would read "2.066 requests" or "12k events":
// increase() extrapolates, and humanize is for neither counts nor rates.
var rawNumber = regexp.MustCompile(`{{ \$value (\| humanize )?}}`)

// headings returns the second-level headings of a document under config/docs.
func headings(t *testing.T, document string) []string {
	t.Helper()
	var found []string
	for line := range strings.Lines(read(t, inConfig(t, "docs", document))) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			found = append(found, strings.TrimSpace(h))
		}
	}
	return found
}

// ruleTest is a promtool test; only its name is read.
type ruleTest struct {
	RuleFiles          []string         `yaml:"rule_files"`
	EvaluationInterval string           `yaml:"evaluation_interval"`
	Tests              []map[string]any `yaml:"tests"`
}

// testsOf returns the tests of one alert: those whose names begin with the alert's name.
func testsOf(t *testing.T, alert string) ruleTest {
	t.Helper()
	for _, path := range glob(t, inConfig(t, "prometheus", "tests", "*.yml")) {
		var f ruleTest
		readYAML(t, path, &f)
		f.Tests = slices.DeleteFunc(f.Tests, func(test map[string]any) bool {
			return strings.FieldsFunc(fmt.Sprint(test["name"]), func(r rune) bool { return r == ' ' || r == ',' })[0] != alert
		})
		if len(f.Tests) > 0 {
			return f
		}
	}
	t.Errorf("%s has no test", alert)
	return ruleTest{}
}

// Each alert has a series that fires, with the text that it then has, and one that does not, near
// its threshold: its tests must fail with the threshold doubled or halved, with the comparison
// reversed, and with four times the wait.
func TestThresholdsAreTested(t *testing.T) {
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		t.Run(r.Alert, func(t *testing.T) {
			t.Parallel()
			tests := testsOf(t, r.Alert)
			series, err := yaml.Marshal(tests)
			if err != nil || !strings.Contains(string(series), `environment="over`) || !strings.Contains(string(series), `environment="under`) {
				t.Errorf("lacks a series that fires (environment=\"over\") or one that does not (\"under\"): %v", err)
			}
			if !strings.Contains(string(series), "exp_annotations") {
				t.Error("its text is not tested (alert_rule_test)")
			}
			if out, err := tryRule(t, r, tests, r.Expr); err != nil {
				t.Fatalf("fails unchanged: %v\n%s", err, out)
			}
			mutants := mutate(t, r.Expr)
			if len(mutants) == 0 {
				t.Log("has no threshold")
			}
			for _, m := range mutants {
				if _, err := tryRule(t, r, tests, m); err == nil {
					t.Errorf("its tests still pass with the expression\n%s", m)
				}
			}
			wait, err := time.ParseDuration(*r.For)
			if err != nil {
				t.Fatal(err)
			}
			if wait > 0 {
				longer := r
				longer.For = new((4 * wait).String())
				if _, err := tryRule(t, longer, tests, r.Expr); err == nil {
					t.Errorf("its tests still pass with for: %s", *longer.For)
				}
			}
		})
	}
}

var comparison = regexp.MustCompile(`(==|!=|>|<) ([0-9.]+)\b`)

// mutate returns the expression with each threshold changed and each comparison reversed.
func mutate(t *testing.T, expr string) []string {
	t.Helper()
	turned := map[string]string{"==": "!=", "!=": "==", ">": "<=", "<": ">="}
	var mutants []string
	for _, at := range comparison.FindAllStringSubmatchIndex(expr, -1) {
		operator, number := expr[at[2]:at[3]], expr[at[4]:at[5]]
		n, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatal(err)
		}
		put := func(operator string, n float64) {
			mutants = append(mutants, expr[:at[0]]+operator+" "+strconv.FormatFloat(n, 'f', -1, 64)+expr[at[1]:])
		}
		put(turned[operator], n)
		switch {
		case operator == ">" && n == 0:
			put(operator, 3) // counts what must never happen: the first one fires
		case operator == ">" || operator == "<":
			put(operator, 2*n)
			put(operator, n/2)
		}
	}
	return mutants
}

// tryRule runs the tests of one alert with another expression.
func tryRule(t *testing.T, r rule, tests ruleTest, expr string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content any) {
		b, err := yaml.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("alert.yml", map[string]any{"groups": []any{map[string]any{"name": "g", "interval": "5s", "rules": []any{
		map[string]any{"alert": r.Alert, "expr": expr, "for": *r.For, "labels": r.Labels, "annotations": r.Annotations},
	}}}})
	tests.RuleFiles = []string{inConfig(t, "prometheus", "recording.yml"), "alert.yml"}
	write("test.yml", map[string]any{"rule_files": tests.RuleFiles, "evaluation_interval": tests.EvaluationInterval, "tests": tests.Tests})
	return run(dir, "promtool", "test", "rules", "test.yml")
}
