package main

// Panels that both dashboards share.

// firing selects firing alerts of the chosen environments. Most concern no single process, so job
// and instance do not select among them.
func firing(which string) string {
	return `ALERTS{alertname=~"Tenzo.+", alertstate="firing", environment=~"$environment", ` + which + `}`
}

func alertsStat() panel {
	return stat("Alerts", count, "Alerts that fire now in the chosen environments. Red marks in the graphs name them; the runbooks are linked above.",
		q("critical", orZero("count("+firing(`severity="critical"`)+")")), q("warning", orZero("count("+firing(`severity="warning"`)+")"))).
		whole().thresholds(red(1))
}

func redisRow() row {
	return row{"Is Redis well?", []panel{
		states("Redis answers as a primary", "Whether each process reaches a Redis primary. A replica counts as down.",
			q("{{instance}}", `tenzo_redis_up{@}`)).mapped(upDown("up", "down")),
		states("Redis holds our data", "Whether each process finds the marker tenzo:schema. Where it is missing, Redis has lost its data or is the wrong one.",
			q("{{instance}}", `tenzo_redis_initialized{@}`)).mapped(upDown("there", "missing")),
		graph("Commands by result", perSecond, "Commands to Redis. `oom`: a full Redis refused them; `timeout`: no answer in time.",
			q("{{result}}", `sum by (result) (rate(tenzo_redis_commands_total{@}[$__rate_interval]))`)).
			series(map[string]string{"ok": "green", "error": "red", "timeout": "orange", "oom": "dark-red"}),
		graph("Time of commands", seconds, "How long Redis takes to answer, commands that wait on purpose apart.",
			quantiles("", `tenzo_redis_command_duration_seconds_bucket{@}`)...).logScale().thresholds(orange(0.1)),
	}}
}

func processRow() row {
	return row{"How are the processes?", []panel{
		graph("CPU", cores, "Cores in use.",
			q("{{instance}}", `rate(process_cpu_seconds_total{@}[$__rate_interval])`)).wide(6),
		graph("Memory", byteSize, "Resident size.",
			q("{{instance}}", `process_resident_memory_bytes{@}`)).wide(6),
		graph("Goroutines", count, "A number that only ever grows is a leak.",
			q("{{instance}}", `go_goroutines{@}`)).wide(6),
		graph("Open files", count, "File descriptors in use, connections among them.",
			q("{{instance}}", `process_open_fds{@}`), q("limit {{instance}}", `process_max_fds{@}`)).wide(6).logScale(),
	}}
}
