package main

import (
	"strings"
)

// Units, as Grafana names them.
const (
	perSecond = "ops"
	requests  = "reqps"
	share     = "percentunit"
	seconds   = "s"
	count     = "short"
	byteSize  = "bytes"
	cores     = "none"
)

// selector replaces "@" in expressions, so that every query applies the variables.
const selector = `environment=~"$environment", job=~"$job", instance=~"$instance"`

// emptyInGoodTimes ends the description of a panel that shows nothing while all is well.
const emptyInGoodTimes = " Empty in good times."

// panel is one panel of a dashboard.
type panel struct {
	kind        string // the panel plugin
	title       string
	description string
	unit        string
	width       int // of 24
	height      int
	queries     []query
	base        string // the colour below the first step; green where empty
	steps       []step
	colors      map[string]string // by the name of a series
	values      map[string]value  // texts for values
	stacked     bool
	logarithmic bool
	max         float64 // of the axis; 0 means none
	decimals    *int
}

// query is one expression; legend names its series by their labels.
type query struct{ expr, legend string }

// step is a threshold and the colour from it upward.
type step struct {
	color string
	from  float64
}

// value is the text and colour shown for a value.
type value struct{ text, color string }

// graph returns a panel of lines over time.
func graph(title, unit, description string, queries ...query) panel {
	return panel{kind: "timeseries", title: title, unit: unit, description: description, queries: queries, width: 12, height: 8}
}

// stat returns a panel of the current value. It uses an instant query, since the last value of a
// range may be old.
func stat(title, unit, description string, queries ...query) panel {
	return panel{kind: "stat", title: title, unit: unit, description: description, queries: queries, width: 3, height: 4}
}

// states returns a panel with one bar for each process, coloured by the value.
func states(title, description string, queries ...query) panel {
	return panel{kind: "state-timeline", title: title, unit: cores, description: description, queries: queries, width: 12, height: 8}
}

// q returns a query; "@" in the expression is replaced by the selector.
func q(legend, expr string) query {
	return query{expr: strings.ReplaceAll(expr, "@", selector), legend: legend}
}

// ratio divides part by all, both sums, and yields nothing where all is 0.
func ratio(part, all string) string { return "(" + part + " / (" + all + " > 0))" }

// orZero makes an expression yield 0 where it would yield nothing.
func orZero(expr string) string { return expr + " or vector(0)" }

// redisGauge selects a gauge of what is stored in Redis. A process that lost its Redis keeps
// exporting the last value, so it is left out.
func redisGauge(metric string) string { return metric + "{@} unless tenzo_redis_up{@} == 0" }

// whileRedisAnswers ends the description of a panel of what is stored in Redis.
const whileRedisAnswers = " Without a value while no process reaches Redis."

// quantiles queries a histogram for its median and 99th percentile, by a label unless that is
// empty.
func quantiles(by, bucket string) []query {
	group, suffix := "le", ""
	if by != "" {
		group, suffix = "le, "+by, " {{"+by+"}}"
	}
	var qs []query
	for _, p := range []struct{ name, of string }{{"median", "0.5"}, {"99 %", "0.99"}} {
		qs = append(qs, q(p.name+suffix, "histogram_quantile("+p.of+", sum by ("+group+") (rate("+bucket+"[$__rate_interval])))"))
	}
	return qs
}

func (p panel) wide(columns int) panel { p.width = columns; return p }

func (p panel) stack() panel { p.stacked = true; return p }

func (p panel) logScale() panel { p.logarithmic = true; return p }

// upTo sets the maximum of the axis.
func (p panel) upTo(n float64) panel { p.max = n; return p }

func (p panel) whole() panel { p.decimals = new(int); return p }

// thresholds sets the thresholds; below the first one the colour is green.
func (p panel) thresholds(steps ...step) panel { p.steps = steps; return p }

// series sets the colours of series, so that a series has the same colour on every panel.
func (p panel) series(colors map[string]string) panel { p.colors = colors; return p }

// mapped shows texts instead of values.
func (p panel) mapped(values map[string]value) panel { p.values = values; return p }

// lowIsBad sets the thresholds of a panel whose low values are bad: red, orange from the first,
// green from the second.
func (p panel) lowIsBad(orange, green float64) panel {
	p.base = "red"
	p.steps = []step{{"orange", orange}, {"green", green}}
	return p
}

func orange(from float64) step { return step{"orange", from} }
func red(from float64) step    { return step{"red", from} }

// upDown maps the two values of a gauge that is 1 or 0.
func upDown(up, down string) map[string]value {
	return map[string]value{"1": {up, "green"}, "0": {down, "red"}}
}
