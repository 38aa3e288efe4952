package main

import (
	"strings"
)

// Units, by Grafana's names.
const (
	perSecond = "ops"
	requests  = "reqps"
	share     = "percentunit"
	seconds   = "s"
	count     = "short"
	byteSize  = "bytes"
	cores     = "none"
)

// selector is what "@" stands for in expressions: every query honours the variables.
const selector = `job=~"$job", instance=~"$instance"`

// emptyInGoodTimes ends the description of a panel that rightly shows nothing while all is well.
const emptyInGoodTimes = " Empty in good times."

// panel shows the answer to one question.
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
	max         float64 // of the axis; none where 0
	decimals    *int
}

// query is one expression; legend names its series by their labels.
type query struct{ expr, legend string }

// step is where a colour begins.
type step struct {
	color string
	from  float64
}

// value is how a value is shown.
type value struct{ text, color string }

// graph is a panel of lines over time.
func graph(title, unit, description string, queries ...query) panel {
	return panel{kind: "timeseries", title: title, unit: unit, description: description, queries: queries, width: 12, height: 8}
}

// stat is a panel of what is so now: asked for the end of the time shown alone, since the last value within it may be an old one.
func stat(title, unit, description string, queries ...query) panel {
	return panel{kind: "stat", title: title, unit: unit, description: description, queries: queries, width: 3, height: 4}
}

// states is a panel of one bar for each process, coloured by the value.
func states(title, description string, queries ...query) panel {
	return panel{kind: "state-timeline", title: title, unit: cores, description: description, queries: queries, width: 12, height: 8}
}

// q is a query; "@" in the expression stands for the selector of job and instance.
func q(legend, expr string) query {
	return query{expr: strings.ReplaceAll(expr, "@", selector), legend: legend}
}

// ratio is the share that part has of all, each a sum, and nothing where there is nothing to share.
func ratio(part, all string) string { return "(" + part + " / (" + all + " > 0))" }

// orZero makes an expression say 0 where it would say nothing.
func orZero(expr string) string { return expr + " or vector(0)" }

// standing is a gauge of what stands in Redis. A process that has lost its Redis goes on showing what stood there last, so it is left out.
func standing(metric string) string { return metric + "{@} unless tenzo_redis_up{@} == 0" }

// whileRedisAnswers ends the description of a panel of what stands in Redis.
const whileRedisAnswers = " Without a value while no process reaches Redis."

// quantiles asks a histogram for its median and 99th percentile, by a label where one is named.
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

func (p panel) wide(of24 int) panel { p.width = of24; return p }

func (p panel) stack() panel { p.stacked = true; return p }

func (p panel) logScale() panel { p.logarithmic = true; return p }

// upTo fixes the top of the axis.
func (p panel) upTo(n float64) panel { p.max = n; return p }

func (p panel) whole() panel { p.decimals = new(int); return p }

// from sets the thresholds: green below the first.
func (p panel) from(steps ...step) panel { p.steps = steps; return p }

// series fixes the colours of series, so that the same thing looks the same everywhere.
func (p panel) series(colors map[string]string) panel { p.colors = colors; return p }

// says shows texts for values.
func (p panel) says(values map[string]value) panel { p.values = values; return p }

// worst sets the thresholds of a panel where less is worse: red, orange from the first, green from the second.
func (p panel) worst(orange, green float64) panel {
	p.base = "red"
	p.steps = []step{{"orange", orange}, {"green", green}}
	return p
}

func orange(from float64) step { return step{"orange", from} }
func red(from float64) step    { return step{"red", from} }

// upDown are the two values of a gauge that says whether something is as it should be.
func upDown(up, down string) map[string]value {
	return map[string]value{"1": {up, "green"}, "0": {down, "red"}}
}
