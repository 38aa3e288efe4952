package main

// booksDifference is the absolute difference: -1 from one process must not be hidden by the 0 of
// another.
var booksDifference = `max(abs(` + redisGauge("tenzo_webhook_books_difference") + `))`

// webhooks is the dashboard of webhook events. Gauges of what is stored in Redis are the same from
// every process: aggregated with max, never with sum.
func webhooks() dashboard {
	return dashboard{
		uid: "tenzo-webhooks", title: "Tenzo webhooks", present: "tenzo_webhook_in_flight",
		description: "Webhook events: delivered, waiting, failing, given up; whether any is lost.",
		rows: []row{
			{"At a glance", []panel{
				alertsStat(),
				stat("Delivered", perSecond, "Events acknowledged by their receivers.",
					q("", `sum(rate(tenzo_webhook_events_total{@, outcome="delivered"}[$__rate_interval]))`)),
				stat("Success", share, "Of the events that were delivered or given up, the share delivered. Without a value while nothing is finished."+emptyInGoodTimes,
					q("", ratio(`sum(rate(tenzo_webhook_events_total{@, outcome="delivered"}[$__rate_interval]))`, `sum(rate(tenzo_webhook_events_total{@, outcome=~"delivered|dead"}[$__rate_interval]))`))).
					lowIsBad(0.9, 0.99),
				stat("Waiting", count, "Events not finished yet, those in flight among them."+whileRedisAnswers,
					q("", `max(`+redisGauge("tenzo_webhook_backlog")+`)`)).thresholds(orange(1000), red(10000)),
				stat("Oldest", seconds, "Age of the oldest unfinished event."+whileRedisAnswers,
					q("", `max(`+redisGauge("tenzo_webhook_oldest_event_age_seconds")+`)`)).thresholds(orange(130), red(900)),
				stat("Dead letters", count, "Events given up and kept for replay, a million at most."+whileRedisAnswers,
					q("", `max(`+redisGauge("tenzo_webhook_dead_letters")+`)`)).thresholds(orange(100_000), red(800_000)),
				stat("Missing", count, "lost: events found missing in the time shown. difference: by how many events the books do not balance, in either direction. Both must be 0."+whileRedisAnswers,
					q("lost", `sum(increase(tenzo_webhook_lost_total{@}[$__range]))`), q("difference", booksDifference)).thresholds(red(0.5)),
				stat("Dispatchers", count, "Processes that deliver. Orange: a single one, so that nothing takes over when it fails.",
					q("", orZero(`count(tenzo_webhook_in_flight{@})`))).whole().lowIsBad(1, 2),
			}},
			{"What becomes of events?", []panel{
				graph("Events by outcome", perSecond, "delivered; dead: given up; skipped: the organization has no active webhook; duplicate: published before under the same id.",
					q("{{outcome}}", `sum by (outcome) (rate(tenzo_webhook_events_total{@}[$__rate_interval]))`)).stack().
					series(map[string]string{"delivered": "green", "dead": "red", "skipped": "blue", "duplicate": "purple"}),
				graph("Events by type", perSecond, "Finished events. `unknown` are types that nobody may receive.",
					q("{{event}}", `sum by (event) (rate(tenzo_webhook_events_total{@}[$__rate_interval]))`)).stack().
					series(map[string]string{"unknown": "red"}),
			}},
			{"How do endpoints answer?", []panel{
				graph("Attempts by result", perSecond, "2xx: a success other than 200, 201, 202 and 204, which alone acknowledge. blocked: not a public address; no request was made.",
					q("{{result}}", `sum by (result) (rate(tenzo_webhook_attempts_total{@}[$__rate_interval]))`)).stack().
					series(map[string]string{"acknowledged": "green", "5xx": "red", "4xx": "orange", "timeout": "dark-red", "blocked": "purple"}),
				graph("Share acknowledged", share, "Of all attempts. One dead endpoint fails four times for each of its events. Without a value while nothing is attempted."+emptyInGoodTimes,
					q("attempts", ratio(`sum(rate(tenzo_webhook_attempts_total{@, result="acknowledged"}[$__rate_interval]))`, `sum(rate(tenzo_webhook_attempts_total{@}[$__rate_interval]))`))).upTo(1),
				graph("Time of attempts", seconds, "What receivers take to answer; after 30 s an attempt is given up. Without a value while nothing is attempted."+emptyInGoodTimes,
					quantiles("event", `tenzo_webhook_attempt_duration_seconds_bucket{@}`)...).logScale().thresholds(red(30)).wide(24),
			}},
			{"How late are deliveries?", []panel{
				graph("From publication to acknowledgement", seconds, "With retries 6 s and more. Without a value while nothing is delivered."+emptyInGoodTimes,
					quantiles("event", `tenzo_webhook_delivery_delay_seconds_bucket{@}`)...).logScale().thresholds(orange(5)),
				graph("Oldest unfinished event", seconds, "An endpoint that hangs makes this grow for itself alone; if deliveries are late as well, all are behind."+whileRedisAnswers,
					q("age", `max(`+redisGauge("tenzo_webhook_oldest_event_age_seconds")+`)`)).thresholds(orange(900)),
			}},
			{"What waits, and where?", []panel{
				graph("Waiting events", count, "unfinished: all of them. parked: their endpoint has no place free. retrying: between two attempts."+whileRedisAnswers,
					q("unfinished", `max(`+redisGauge("tenzo_webhook_backlog")+`)`), q("parked", `max(`+redisGauge("tenzo_webhook_parked")+`)`),
					q("retrying", `max(`+redisGauge("tenzo_webhook_retrying")+`)`)).
					series(map[string]string{"unfinished": "blue", "parked": "orange", "retrying": "purple"}),
				graph("In flight", count, "Events in the memory of each dispatcher; max_in_flight (4096) bounds them.",
					q("{{instance}}", `tenzo_webhook_in_flight{@}`)).thresholds(orange(3500)),
			}},
			{"What was given up or lost?", []panel{
				graph("Dead letters", count, "Kept for replay: 30 days, a million at most."+whileRedisAnswers,
					q("kept", `max(`+redisGauge("tenzo_webhook_dead_letters")+`)`)).wide(8),
				graph("Given up", perSecond, "Events that went to the dead stream, by type.",
					q("{{event}}", `sum by (event) (rate(tenzo_webhook_events_total{@, outcome="dead"}[$__rate_interval]))`)).stack().wide(8),
				graph("What must not happen", count, "In the last hour. lost: found missing. dropped: dead events beyond dead_limit. recovered: taken over from a process that died. difference: in the books.",
					q("lost", `sum(increase(tenzo_webhook_lost_total{@}[1h]))`), q("dropped", `sum(increase(tenzo_webhook_dead_dropped_total{@}[1h]))`),
					q("recovered", `sum(increase(tenzo_webhook_recovered_total{@}[1h]))`), q("difference", booksDifference)).
					series(map[string]string{"lost": "red", "dropped": "orange", "recovered": "purple", "difference": "dark-red"}).wide(8),
			}},
			redisRow(),
			processRow(),
		},
	}
}
