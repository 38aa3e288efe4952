package main

// allRequests is the rate of requests that tenzo_auth decided.
const allRequests = `sum(rate(tenzo_auth_requests_total{@}[$__rate_interval]))`

// notRefused is the rate of requests that were let in or got no verdict. Refusals, of which there
// may be any number, would hide outages in a share of all requests.
const notRefused = `sum(rate(tenzo_auth_requests_total{@, result=~"allowed|key_store_unavailable|invalid_key_record"}[$__rate_interval]))`

// letIn is the rate of requests that went on to the upstream.
const letIn = `sum(rate(tenzo_auth_requests_total{@, result="allowed"}[$__rate_interval]))`

// outer selects the routes of sites: all but those of scrapes and probes. Caddy counts a request in
// each route of the server that it passes, under the name of the route's first handler: subroute on
// a site with a host name, on one without the first directive. The outermost route has all
// requests, hence max.
const outer = `handler!~"metrics|tenzo_health"`

// responses returns the rates of Caddy's responses.
func responses(which string) string {
	if which != "" {
		which = ", " + which
	}
	return `max without (handler) (rate(caddy_http_request_duration_seconds_count{@, ` + outer + which + `}[$__rate_interval]))`
}

// gateway is the dashboard of requests with API keys.
func gateway() dashboard {
	return dashboard{
		uid: "tenzo-gateway", title: "Tenzo gateway", present: "tenzo_auth_requests_total",
		description: "API keys at the edge: who is let in, where verdicts come from, how fast revocations arrive, whether Redis is well.",
		rows: []row{
			{"At a glance", []panel{
				alertsStat(),
				stat("Let in", requests, "Requests with a valid key.", q("", letIn)),
				stat("Refused", share, "Share of requests refused for their credentials.",
					q("", orZero(ratio(`sum(rate(tenzo_auth_requests_total{@, result!~"allowed|key_store_unavailable|invalid_key_record"}[$__rate_interval]))`, allRequests)))).
					thresholds(orange(0.2), red(0.5)),
				stat("No verdict", share, "Of the requests that were not refused, the share answered 503: Redis gives no answer in time or has lost its data, or a key's record is invalid.",
					q("", orZero(ratio(`sum(rate(tenzo_auth_requests_total{@, result=~"key_store_unavailable|invalid_key_record"}[$__rate_interval]))`, notRefused)))).
					thresholds(orange(0.001), red(0.01)),
				stat("Redis", cores, "The worst that any process says of Redis.",
					q("answers", `min(tenzo_redis_up{@})`), q("data", `min(tenzo_redis_initialized{@})`)).mapped(upDown("ok", "no")),
				stat("Staleness", seconds, "How old the oldest change of a key could be that some gateway has not seen. Beyond 60 s nothing cached is trusted.",
					q("", `max(tenzo_auth_staleness_seconds{@})`)).thresholds(orange(5), red(30)),
				stat("Upstream failing", share, "Responses 502 and 504 as a share of the requests let in: the upstream could not be reached, or broke off. Needs the global option `metrics`.",
					q("", orZero(`clamp_max(`+ratio(`sum(`+responses(`code=~"502|504"`)+`)`, letIn)+`, 1)`))).
					thresholds(orange(0.01), red(0.05)),
				stat("Gateways", count, "Processes that answer Prometheus. Orange: a single one, so that nothing takes over when it fails.",
					q("", orZero(`sum(up{@})`))).whole().lowIsBad(1, 2),
			}},
			{"Who is let in, who is not?", []panel{
				graph("Requests by result", requests, "All requests; the codes are those of the problem+json bodies.",
					q("{{result}}", `sum by (result) (rate(tenzo_auth_requests_total{@}[$__rate_interval]))`)).stack().
					series(map[string]string{"allowed": "green", "key_store_unavailable": "red", "invalid_key_record": "dark-red"}),
				graph("Refusals by code", requests, "As before, without those let in.",
					q("{{result}}", `sum by (result) (rate(tenzo_auth_requests_total{@, result!="allowed"}[$__rate_interval]))`)).stack().
					series(map[string]string{"key_store_unavailable": "red", "invalid_key_record": "dark-red"}),
			}},
			{"Where do verdicts come from?", []panel{
				graph("Lookups by source", perSecond, "cache: held here. redis: read from Redis. shared: waited for another request's read. negative: a refused key, remembered for 5 s.",
					q("{{source}}", `sum by (source) (rate(tenzo_auth_lookups_total{@}[$__rate_interval]))`)).stack().
					series(map[string]string{"cache": "green", "redis": "blue", "shared": "purple", "negative": "orange"}),
				graph("Share without a read of Redis", share, "Verdicts that needed no read of their own, remembered refusals apart. Low right after a start, and where keys are used less than once a minute.",
					q("all gateways", ratio(`sum(rate(tenzo_auth_lookups_total{@, source=~"cache|shared"}[$__rate_interval]))`, `sum(rate(tenzo_auth_lookups_total{@, source!="negative"}[$__rate_interval]))`))).upTo(1),
				graph("Keys in the cache", count, "Good keys held; cache_size bounds them.",
					q("{{instance}}", `tenzo_auth_cache_entries{@}`)),
				graph("Keys pushed out of the cache", perSecond, "Steadily above zero, cache_size is smaller than the keys in use.",
					q("{{instance}}", `rate(tenzo_auth_cache_evictions_total{@}[$__rate_interval])`)).thresholds(orange(10)),
			}},
			{"How long does a verdict take?", []panel{
				graph("Verdicts from the cache", seconds, "From reading the header to the verdict; a sample of them is measured.",
					quantiles("", `tenzo_auth_duration_seconds_bucket{@, source="cache"}`)...).logScale(),
				graph("Other verdicts", seconds, "From reading the header to the verdict. After 1 s the answer is 503.",
					quantiles("source", `tenzo_auth_duration_seconds_bucket{@, source!="cache"}`)...).logScale().thresholds(orange(0.25), red(1)),
			}},
			{"How fast does a revocation take effect?", []panel{
				graph("Delay of changes", seconds, "From the announcement of a key's change to the moment the last gateway stopped trusting what it held. Without a value while no key changes."+emptyInGoodTimes,
					append(quantiles("", `tenzo_auth_revocation_delay_seconds_bucket{@}`),
						q("worst bucket", `histogram_quantile(1, sum by (le) (rate(tenzo_auth_revocation_delay_seconds_bucket{@}[$__rate_interval])))`))...).
					logScale().thresholds(orange(5), red(60)).wide(8),
				graph("Changes seen", perSecond, "Announced changes of keys, over all gateways.",
					q("changes", `sum(rate(tenzo_auth_revocation_delay_seconds_count{@}[$__rate_interval]))`)).wide(8),
				graph("Staleness", seconds, "How old the oldest change could be that a gateway has not seen: about a second, and growing while the push is cut off.",
					q("{{instance}}", `tenzo_auth_staleness_seconds{@}`)).thresholds(orange(5), red(30)).wide(8),
			}},
			{"Is every use counted?", []panel{
				graph("Uses not flushed yet", count, "Held in memory until Redis has them; it grows during an outage and must fall afterwards.",
					q("{{instance}}", `tenzo_auth_usage_pending{@}`)),
				graph("Flushes by result", perSecond, "Writes of counts to Redis, about one a second for each process in use.",
					q("{{result}}", `sum by (result) (rate(tenzo_auth_usage_flushes_total{@}[$__rate_interval]))`)).
					series(map[string]string{"ok": "green", "error": "red"}),
			}},
			redisRow(),
			{"What does Caddy see?", []panel{
				graph("Responses by status", requests, "As clients got them. Needs the global option `metrics`.",
					q("{{code}}", `sum by (code) (`+responses("")+`)`)).stack(),
				graph("Time to the first byte", seconds, "Key check and upstream together. Needs the global option `metrics`.",
					quantiles("", `caddy_http_response_duration_seconds_bucket{@, handler=~"subroute|tenzo_auth"}`)...).logScale(),
				graph("Requests in flight", count, "Needs the global option `metrics`.",
					q("{{instance}}", `sum by (instance) (max without (handler) (caddy_http_requests_in_flight{@, `+outer+`}))`)),
				states("Upstreams", "Whether Caddy takes each upstream for healthy.",
					q("{{upstream}}", `min by (upstream) (caddy_reverse_proxy_upstreams_healthy{@})`)).mapped(upDown("healthy", "failing")),
			}},
			processRow(),
		},
	}
}
