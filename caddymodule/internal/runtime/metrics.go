package runtime

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

// metrics belong to the process and not to a configuration: a counter must continue over a reload,
// but Caddy gives every configuration a new registry. They are created once and registered with
// each.
var metrics = struct {
	auth     *keyauth.Metrics
	redis    *store.Metrics
	webhooks *dispatcher.Metrics
}{keyauth.NewMetrics(), store.NewMetrics(), dispatcher.NewMetrics()}

// RegisterMetrics adds the metrics to a configuration's registry, those of webhooks only if the
// configuration delivers them.
func RegisterMetrics(registry *prometheus.Registry, webhooks bool) error {
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
