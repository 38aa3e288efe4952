package observability

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// dashboard holds the members of a dashboard that the tests check.
type dashboard struct {
	UID, Title, Description string
	Editable                bool
	Tags                    []string
	Panels                  []dashPanel
	Templating              struct{ List []dashVariable }
	Annotations             struct {
		List []struct {
			Name       string
			Datasource struct{ UID string }
			Target     struct{ Expr string }
		}
	}
	file string
}

type dashPanel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ UID string }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct {
		Expr, LegendFormat string
		Range, Instant     bool
		Datasource         struct{ UID string }
	}
}

type dashVariable struct {
	Name, Label, Type, Query, AllValue string
	Multi, IncludeAll                  bool
}

// mayBeEmpty reports whether the panel's description announces that it shows nothing while all is
// well.
func (p dashPanel) mayBeEmpty() bool { return strings.HasSuffix(p.Description, "Empty in good times.") }

func dashboards(t *testing.T) []dashboard {
	t.Helper()
	var all []dashboard
	for _, path := range glob(t, inConfig(t, "grafana", "*.json")) {
		d := dashboard{file: filepath.Base(path)}
		if err := json.Unmarshal([]byte(read(t, path)), &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, d)
	}
	return all
}

// The committed JSON equals the generator's output, so the generator stays the only source.
func TestDashboardsAreGenerated(t *testing.T) {
	fresh := t.TempDir()
	if out, err := run(harness.Root(t), "go", "run", "./config/grafana/generate", fresh); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range glob(t, filepath.Join(fresh, "*.json")) {
		committed, err := os.ReadFile(inConfig(t, "grafana", filepath.Base(path)))
		if err != nil || string(committed) != read(t, path) {
			t.Errorf("%s is not what `go run ./config/grafana/generate` writes: %v", filepath.Base(path), err)
		}
	}
	if a, b := len(glob(t, filepath.Join(fresh, "*.json"))), len(dashboards(t)); a != b {
		t.Errorf("the generator writes %d files, %d are committed", a, b)
	}
}

// Dashboards follow the rules of Grafana's dashboard linter, and our own.
func TestDashboardsFollowTheRules(t *testing.T) {
	for _, d := range dashboards(t) {
		t.Run(d.file, func(t *testing.T) {
			if d.UID+".json" != d.file || d.Title == "" || d.Description == "" || d.Editable || !slices.Contains(d.Tags, "tenzo") {
				t.Errorf("uid %q, title %q, description %q, editable %v, tags %v", d.UID, d.Title, d.Description, d.Editable, d.Tags)
			}
			checkVariables(t, d)
			for _, a := range d.Annotations.List {
				checkExpression(t, "the annotation "+a.Name, a.Target.Expr)
			}
			checkLayout(t, d)
			titles := map[string]bool{}
			for _, p := range d.Panels {
				if p.Type == "row" {
					titles = map[string]bool{} // titles are unique within a row
					continue
				}
				checkPanel(t, p)
				if titles[p.Title] {
					t.Errorf("two panels have the title %q", p.Title)
				}
				titles[p.Title] = true
			}
		})
	}
}

func checkVariables(t *testing.T, d dashboard) {
	t.Helper()
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		if v.Name == "datasource" {
			if v.Type != "datasource" || v.Query != "prometheus" || v.Label != "Data source" {
				t.Errorf("the variable datasource is %+v", v)
			}
			continue
		}
		all := ""
		if v.Name == "environment" {
			// Also without the label; elsewhere it would select other processes than ours.
			all = ".*"
		}
		if v.Type != "query" || !strings.HasPrefix(v.Query, "label_values(") || !v.Multi || !v.IncludeAll || v.AllValue != all {
			t.Errorf("the variable is %+v; the value for All must be %q", v, all)
		}
		if v.Name != "environment" && !strings.Contains(v.Query, `{environment=~"$environment"`) {
			t.Errorf("the variable %s lists the values of other environments: %s", v.Name, v.Query)
		}
	}
	if !slices.Equal(names, []string{"datasource", "environment", "job", "instance"}) {
		t.Errorf("the variables are %v", names)
	}
	if len(d.Annotations.List) == 0 {
		t.Error("the dashboard has no annotations")
	}
}

func checkPanel(t *testing.T, p dashPanel) {
	t.Helper()
	if p.Title == "" || !strings.HasSuffix(p.Description, ".") || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
		t.Errorf("the panel %q has the description %q, the unit %q, the data source %q and %d targets",
			p.Title, p.Description, p.FieldConfig.Defaults.Unit, p.Datasource.UID, len(p.Targets))
	}
	for _, target := range p.Targets {
		if target.Datasource.UID != "${datasource}" || (target.LegendFormat == "" && p.Type != "stat") {
			t.Errorf("a target of the panel %q has the data source %q and the legend %q", p.Title, target.Datasource.UID, target.LegendFormat)
		}
		// A range query's last value may be old. A stat shows the current value, so it uses an
		// instant query.
		if stat := p.Type == "stat"; target.Instant != stat || target.Range == stat {
			t.Errorf("a target of the panel %q, a %s, asks for an instant: %v, a range: %v", p.Title, p.Type, target.Instant, target.Range)
		}
		checkExpression(t, "the panel "+p.Title, target.Expr)
	}
}

var (
	selectorText = regexp.MustCompile(`\{[^{}]*\}`)
	rangeText    = regexp.MustCompile(`\[([^\]]*)\]`)
	counterText  = regexp.MustCompile(`([a-z0-9_]+(?:_total|_count|_bucket|_sum))(?:\{[^{}]*\})(\[)?`)
	inRedis      = regexp.MustCompile(`tenzo_webhook_(parked|retrying|backlog|oldest_event_age_seconds|dead_letters|books_difference)\{[^}]*\}`)
	lostRedis    = regexp.MustCompile(`^ unless tenzo_redis_up\{[^}]*\} == 0\)`)
	alertText    = regexp.MustCompile(`ALERTS\{alertname=~"Tenzo\.\+", alertstate="firing", environment=~"\$environment", [^}]*\}`)
)

// checkExpression checks one PromQL expression of a dashboard: every selector uses the dashboard's
// variables (ALERTS has no job and instance, since most alerts concern no single process), rates
// use the rate interval, counters appear only under rate or increase, and gauges of what is stored
// in Redis are aggregated with max over the processes that reach Redis.
func checkExpression(t *testing.T, where, expr string) {
	t.Helper()
	alerts := len(alertText.FindAllString(expr, -1))
	selectors := selectorText.FindAllString(alertText.ReplaceAllString(expr, ""), -1)
	if len(selectors)+alerts == 0 {
		t.Errorf("%s selects nothing: %s", where, expr)
	}
	for _, s := range selectors {
		for _, variable := range []string{"environment", "job", "instance"} {
			if !strings.Contains(s, variable+`=~"$`+variable+`"`) {
				t.Errorf("%s does not select by %s: %s", where, variable, expr)
			}
		}
	}
	for _, r := range rangeText.FindAllStringSubmatch(expr, -1) {
		fixed := r[1] == "$__range" || r[1] == "1h"
		if r[1] != "$__rate_interval" && (!fixed || !strings.Contains(expr, "increase(")) {
			t.Errorf("%s has the range %s: %s", where, r[0], expr)
		}
	}
	for _, c := range counterText.FindAllStringSubmatch(expr, -1) {
		if c[2] == "" {
			t.Errorf("%s shows the counter %s without rate or increase: %s", where, c[1], expr)
		}
	}
	for _, at := range inRedis.FindAllStringIndex(expr, -1) {
		aggregated := strings.HasSuffix(expr[:at[0]], "max(")
		// the difference counts in either direction
		if strings.Contains(expr[at[0]:at[1]], "books_difference") {
			aggregated = strings.HasSuffix(expr[:at[0]], "max(abs(")
		}
		if !aggregated {
			t.Errorf("%s does not aggregate a gauge of what is stored in Redis with max: %s", where, expr)
		}
		if !lostRedis.MatchString(expr[at[1]:]) {
			t.Errorf("%s includes processes that have lost Redis: %s", where, expr)
		}
	}
}

// checkLayout reports panels that overlap or exceed the 24 columns.
func checkLayout(t *testing.T, d dashboard) {
	t.Helper()
	ids := map[int]bool{}
	for i, a := range d.Panels {
		if ids[a.ID] || a.ID == 0 {
			t.Errorf("the id %d is used twice, or is 0", a.ID)
		}
		ids[a.ID] = true
		g := a.GridPos
		if g.X+g.W > 24 || g.W < 1 || g.H < 1 {
			t.Errorf("the panel %q is placed at %+v", a.Title, g)
		}
		for _, b := range d.Panels[i+1:] {
			o := b.GridPos
			if g.X < o.X+o.W && o.X < g.X+g.W && g.Y < o.Y+o.H && o.Y < g.Y+g.H {
				t.Errorf("the panels %q and %q overlap", a.Title, b.Title)
			}
		}
	}
}

// The dashboards type-check against Grafana's schema, which tests/grafana/install.sh installs.
func TestDashboardsHaveGrafanasTypes(t *testing.T) {
	dir := filepath.Join(harness.Root(t), "tests", "grafana")
	if out, err := run(dir, "node", "check.mjs"); err != nil {
		t.Fatalf("%v (install with tests/grafana/install.sh)\n%s", err, out)
	}
}

// The provisioning files are valid YAML, and name the folder of the dashboards and the data source.
func TestProvisioningFilesAreRead(t *testing.T) {
	var dashboards struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type     string
			AllowUIUpdates bool              `yaml:"allowUiUpdates"`
			Options        map[string]string `yaml:"options"`
		}
	}
	readYAML(t, inConfig(t, "grafana", "provisioning", "dashboards", "tenzo.yml"), &dashboards)
	if p := dashboards.Providers; dashboards.APIVersion != 1 || len(p) != 1 || p[0].Type != "file" || p[0].AllowUIUpdates || p[0].Options["path"] == "" {
		t.Errorf("the dashboards' provisioning is %+v", dashboards)
	}
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Type, URL string
			JSONData  map[string]any `yaml:"jsonData"`
		}
	}
	readYAML(t, inConfig(t, "grafana", "provisioning", "datasources", "prometheus.yml"), &sources)
	if d := sources.Datasources; sources.APIVersion != 1 || len(d) != 1 || d[0].Type != "prometheus" || d[0].JSONData["timeInterval"] != "5s" {
		t.Errorf("the data source's provisioning is %+v", sources)
	}
}
