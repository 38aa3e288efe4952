package store

// This file holds the metrics of Redis (specification.md, section 11).

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// Metrics are the tenzo_redis_ metrics. They are created once a process and outlive every Store.
// Their methods, except Collectors, do nothing on nil.
type Metrics struct {
	up, initialized prometheus.Gauge
	commands        map[string]prometheus.Counter // by result
	commandsVec     *prometheus.CounterVec
	duration        prometheus.Histogram

	mu     sync.Mutex
	states map[*Monitor]State // of running monitors; during a reload there may be two
}

// The values of the label result.
const (
	resultOK      = "ok"
	resultError   = "error"
	resultTimeout = "timeout"
	resultOOM     = "oom" // a full Redis refused the command
)

// NewMetrics returns metrics with every label value from the start.
func NewMetrics() *Metrics {
	m := &Metrics{
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tenzo_redis_up",
			Help: "1 where Redis answers as a primary.",
		}),
		initialized: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tenzo_redis_initialized",
			Help: "1 where the schema marker of this program is in Redis.",
		}),
		commandsVec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tenzo_redis_commands_total",
			Help: "Commands sent to Redis, those in pipelines one by one, by result; oom is a refusal by a full Redis.",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "tenzo_redis_command_duration_seconds",
			Help:    "How long commands and pipelines of commands took, without those that wait in Redis.",
			Buckets: []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}),
		commands: map[string]prometheus.Counter{},
		states:   map[*Monitor]State{},
	}
	for _, r := range []string{resultOK, resultError, resultTimeout, resultOOM} {
		m.commands[r] = m.commandsVec.WithLabelValues(r)
	}
	return m
}

// Collectors returns what to register.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.up, m.initialized, m.commandsVec, m.duration}
}

// observeCommand gets the error of a command, sent alone or in a pipeline; nil and redis.Nil are
// answers.
func (m *Metrics) observeCommand(err error) {
	if m != nil {
		m.commands[result(err)].Inc()
	}
}

// observeRoundTrip gets how long a command or a pipeline took. Commands that wait in Redis are left
// out.
func (m *Metrics) observeRoundTrip(took time.Duration) {
	if m != nil {
		m.duration.Observe(took.Seconds())
	}
}

// observeState stores the state that a running monitor found. The gauges show the worst of all.
func (m *Metrics) observeState(of *Monitor, s State) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.states[of] = s
	m.update()
}

// forget removes a monitor that no longer runs.
func (m *Metrics) forget(of *Monitor) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.states, of)
	if len(m.states) > 0 { // otherwise the last known state remains
		m.update()
	}
}

func (m *Metrics) update() {
	up, initialized := 1.0, 1.0
	for _, s := range m.states {
		if !s.Up {
			up = 0
		}
		if !s.Initialized {
			initialized = 0
		}
	}
	m.up.Set(up)
	m.initialized.Set(initialized)
}

// result classifies the error of a command. NOSCRIPT is the ordinary way to learn that the text of
// a script must be sent.
func result(err error) string {
	switch {
	case err == nil, errors.Is(err, redis.Nil), redis.HasErrorPrefix(err, "NOSCRIPT"):
		return resultOK
	case IsOOM(err):
		return resultOOM
	case isTimeout(err):
		return resultTimeout
	}
	return resultError
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout) {
		return true
	}
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}
