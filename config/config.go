// Package config holds the rules that API keys (package apikey), webhooks (package webhook) and
// events share: ids, durations and pagination. What operators deploy is beside it: docs, examples,
// rules of Prometheus, dashboards.
//
// No package below config imports Caddy. Package store reaches the Redis that holds everything,
// package changes follows the changes that are published there.
package config
