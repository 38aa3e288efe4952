package runtime

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Configurations start and end in the orders that Caddy has; the latest that started decides where
// a Runtime logs.
func TestLatestGenerationIsCurrent(t *testing.T) {
	var out bytes.Buffer
	generation := func(name string) *Generation {
		return &Generation{Log: slog.NewTextHandler(&out, nil).WithAttrs([]slog.Attr{slog.String("by", name)}), Keys: keyauth.Defaults()}
	}
	first, second, failed := generation("first"), generation("second"), generation("failed")
	r, err := newRuntime(Target{URL: "redis://127.0.0.1:1", Prefix: "tenzo:"}, first)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.end() })
	// Derived before, like the loggers of the Runtime's parts.
	logger := r.logger.With("part", "x").WithGroup("g")
	current := func(when, want string) {
		t.Helper()
		out.Reset()
		logger.Info("said", "a", 1)
		if !strings.Contains(out.String(), "by="+want+" part=x g.a=1") {
			t.Errorf("%s: logged %q", when, out.String())
		}
	}
	current("before any started", "first")
	r.Activate(first)
	current("started", "first")
	r.Activate(failed)
	r.Deactivate(failed)
	current("after one that failed to start", "first")
	r.Activate(second)
	current("reloaded", "second")
	r.Deactivate(first)
	current("the former cleaned up", "second")
	r.Deactivate(second)
	current("all cleaned up, the Runtime not ended yet", "second")
}

// A Runtime whose configuration never starts, as in a reload that fails, leaves nothing in the
// metrics: its staleness would grow for as long as the process lives.
func TestUnstartedRuntimeLeavesNoMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics.auth.Collectors()...)
	staleness := func() float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "tenzo_auth_staleness_seconds" {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		t.Fatal("no such gauge")
		return 0
	}
	harness.Eventually(t, 20*time.Second, func() error { // the Runtimes of other tests are gone
		if s := staleness(); s != 0 {
			return fmt.Errorf("staleness is %g s", s)
		}
		return nil
	})
	r, err := newRuntime(Target{URL: "redis://127.0.0.1:1", Prefix: "tenzo:"}, &Generation{Log: slog.DiscardHandler, Keys: keyauth.Defaults()})
	if err != nil {
		t.Fatal(err)
	}
	if staleness() == 0 {
		t.Error("a Runtime that may start any moment is missing")
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if s := staleness(); s != 0 {
		t.Errorf("staleness is %g s without a Runtime", s)
	}
}
