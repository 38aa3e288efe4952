package main

// This file builds the JSON that Grafana reads: the classic dashboard model, schema version 39.

import (
	"cmp"
	"maps"
	"slices"
)

// object is a JSON object; encoding/json writes its members sorted by name.
type object = map[string]any

// dashboard is one dashboard, one JSON file.
type dashboard struct {
	uid, title, description string
	// present is a metric that the shown processes export; the variables take their values from it.
	present string
	rows    []row
}

// row is a question with the panels that answer it.
type row struct {
	title  string
	panels []panel
}

const runbooks = "https://github.com/tenzo-ai/tenzo-gateway/blob/main/config/docs/runbooks.md"

var datasource = object{"type": "prometheus", "uid": "${datasource}"}

func (d dashboard) model() object {
	return object{
		"uid": d.uid, "title": d.title, "description": d.description, "tags": []string{"tenzo"},
		"schemaVersion": 39, "version": 1, "editable": false, "graphTooltip": 1, "timezone": "", "refresh": "30s",
		"time":        object{"from": "now-1h", "to": "now"},
		"annotations": object{"list": annotations()},
		"templating":  object{"list": d.variables()},
		"links": []object{
			{
				"title": "Tenzo", "type": "dashboards", "tags": []string{"tenzo"}, "icon": "external link", "tooltip": "",
				"asDropdown": false, "includeVars": false, "keepTime": true, "targetBlank": false,
			},
			{
				"title": "Runbooks", "type": "link", "url": runbooks, "tags": []string{}, "icon": "doc", "tooltip": "What each alert means and asks of you",
				"asDropdown": false, "includeVars": false, "keepTime": false, "targetBlank": true,
			},
		},
		"panels": d.layout(),
	}
}

func (d dashboard) variables() []object {
	// "All" expands to the listed values where allValue is empty. A fixed value such as .* would
	// select every process that Prometheus knows, so only environment has one: it also matches
	// metrics without that label.
	choice := func(name, label, description, allValue, query string) object {
		return object{
			"name": name, "label": label, "description": description, "type": "query", "datasource": datasource, "query": query,
			"multi": true, "includeAll": true, "allValue": allValue, "current": object{"text": []string{"All"}, "value": []string{"$__all"}},
			"refresh": 2, "sort": 1, "regex": "",
		}
	}
	return []object{
		{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "regex": "", "refresh": 1},
		choice("environment", "Environment", "Deployments, by the label environment where your scrape configuration sets it. "+
			"Of several, gauges of what is stored in Redis show the highest.", ".*", "label_values("+d.present+", environment)"),
		choice("job", "Job", "Scrape jobs: tenzo-gateway, tenzo-dispatcher.", "",
			"label_values("+d.present+`{environment=~"$environment"}, job)`),
		choice("instance", "Instance", "Processes of the chosen jobs.", "",
			"label_values("+d.present+`{environment=~"$environment", job=~"$job"}, instance)`),
	}
}

// annotations mark firing alerts, process starts and loaded configurations. The last two take their
// time from the metric's value.
func annotations() []object {
	mark := func(name, color, metric, text string) object {
		return object{
			"name": name, "enable": true, "hide": false, "iconColor": color, "datasource": datasource,
			"target":          object{"refId": "Anno", "expr": metric + "{" + selector + "} * 1000", "legendFormat": "{{instance}}"},
			"useValueForTime": true, "titleFormat": text, "textFormat": "{{job}} {{instance}}", "tagKeys": "job",
		}
	}
	alerts := mark("Alerts", "red", "", "{{alertname}}")
	alerts["target"] = object{"refId": "Anno", "expr": firing(`severity=~"critical|warning"`), "legendFormat": "{{alertname}}"}
	alerts["useValueForTime"] = false
	alerts["textFormat"], alerts["tagKeys"] = "{{severity}}", "severity"
	return []object{
		alerts,
		mark("Restarts", "purple", "process_start_time_seconds", "Started"),
		mark("Reloads", "blue", "caddy_config_last_reload_success_timestamp_seconds", "Configuration loaded"),
	}
}

// layout places the panels of each row from left to right.
func (d dashboard) layout() []object {
	var placed []object
	id, y := 0, 0
	next := func() int { id++; return id }
	for _, r := range d.rows {
		placed = append(placed, object{
			"id": next(), "type": "row", "title": r.title, "collapsed": false, "panels": []object{}, "gridPos": object{"x": 0, "y": y, "w": 24, "h": 1},
		})
		y++
		x, height := 0, 0
		for _, p := range r.panels {
			if x+p.width > 24 {
				x, y, height = 0, y+height, 0
			}
			placed = append(placed, p.model(next(), object{"x": x, "y": y, "w": p.width, "h": p.height}))
			x, height = x+p.width, max(height, p.height)
		}
		y += height
	}
	return placed
}

func (p panel) model(id int, at object) object {
	var targets []object
	now := p.kind == "stat"
	for i, query := range p.queries {
		targets = append(targets, object{
			"refId": string(rune('A' + i)), "datasource": datasource, "expr": query.expr, "legendFormat": query.legend, "range": !now, "instant": now,
			"editorMode": "code",
		})
	}
	m := object{
		"id": id, "type": p.kind, "title": p.title, "description": p.description, "datasource": datasource, "gridPos": at, "targets": targets,
		"fieldConfig": object{"defaults": p.defaults(), "overrides": p.overrides()}, "options": p.options(),
	}
	if now {
		m["interval"] = "1m" // over a shorter interval a rate jumps with each request
	}
	return m
}

func (p panel) defaults() object {
	steps := []object{{"color": cmp.Or(p.base, "green"), "value": nil}}
	for _, s := range p.steps {
		steps = append(steps, object{"color": s.color, "value": s.from})
	}
	mode := "palette-classic-by-name"
	if p.kind != "timeseries" {
		mode = "thresholds"
	}
	d := object{
		"unit": p.unit, "color": object{"mode": mode}, "thresholds": object{"mode": "absolute", "steps": steps},
		"mappings": p.mappings(), "custom": p.custom(),
	}
	if p.max != 0 {
		d["max"] = p.max
	}
	if p.decimals != nil {
		d["decimals"] = *p.decimals
	}
	return d
}

func (p panel) mappings() []object {
	if len(p.values) == 0 {
		return []object{}
	}
	options := object{}
	for i, v := range slices.Sorted(maps.Keys(p.values)) {
		options[v] = object{"text": p.values[v].text, "color": p.values[v].color, "index": i}
	}
	return []object{{"type": "value", "options": options}}
}

// custom returns the settings of the panel plugin.
func (p panel) custom() object {
	switch p.kind {
	case "timeseries":
		c := object{
			"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "auto", "spanNulls": false,
			"stacking": object{"mode": "none", "group": "A"}, "scaleDistribution": object{"type": "linear"},
			"thresholdsStyle": object{"mode": "off"}, "axisSoftMin": 0,
		}
		if p.stacked {
			c["stacking"] = object{"mode": "normal", "group": "A"}
			c["fillOpacity"] = 40
		}
		if p.logarithmic {
			c["scaleDistribution"] = object{"type": "log", "log": 10}
			delete(c, "axisSoftMin") // a logarithmic axis has no zero
		}
		if len(p.steps) > 0 {
			c["thresholdsStyle"] = object{"mode": "dashed"}
		}
		return c
	case "state-timeline":
		return object{"fillOpacity": 70, "lineWidth": 0}
	}
	return object{}
}

func (p panel) overrides() []object {
	overrides := []object{}
	for _, name := range slices.Sorted(maps.Keys(p.colors)) {
		overrides = append(overrides, object{
			"matcher":    object{"id": "byName", "options": name},
			"properties": []object{{"id": "color", "value": object{"mode": "fixed", "fixedColor": p.colors[name]}}},
		})
	}
	return overrides
}

func (p panel) options() object {
	legend := object{"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []string{}}
	tooltip := object{"mode": "multi", "sort": "desc"}
	switch p.kind {
	case "stat":
		text := "auto"
		if len(p.queries) > 1 {
			text = "value_and_name"
		}
		return object{
			"colorMode": "value", "graphMode": "none", "justifyMode": "auto", "textMode": text, "orientation": "auto", "wideLayout": true,
			"showPercentChange": false, "percentChangeColorMode": "standard",
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		}
	case "state-timeline":
		return object{"mergeValues": true, "showValue": "auto", "alignValue": "left", "rowHeight": 0.9, "legend": legend, "tooltip": tooltip}
	}
	return object{"legend": legend, "tooltip": tooltip}
}
