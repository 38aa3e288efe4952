package caddymodule

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

// metrics are this process's, since a counter must go on over a reload while every configuration has a registry of its own: they are made
// once and registered with each.
var metrics = struct {
	auth     *keyauth.Metrics
	redis    *store.Metrics
	webhooks *dispatcher.Metrics
}{keyauth.NewMetrics(), store.NewMetrics(), dispatcher.NewMetrics()}

// registerMetrics adds the metrics to a configuration's registry; those of webhooks only where it delivers them.
func registerMetrics(registry *prometheus.Registry, webhooks bool) error {
	collectors := append(metrics.auth.Collectors(), metrics.redis.Collectors()...)
	if webhooks {
		collectors = append(collectors, metrics.webhooks.Collectors()...)
	}
	for _, c := range collectors {
		if err := registry.Register(c); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			return err
		}
	}
	return nil
}
