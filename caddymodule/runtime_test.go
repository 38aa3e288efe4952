package caddymodule

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestLatestConfigurationHolds takes a core through configurations that start and end, in the orders that Caddy has.
func TestLatestConfigurationHolds(t *testing.T) {
	var out bytes.Buffer
	user := func(name string) *coreUser {
		return &coreUser{log: slog.NewTextHandler(&out, nil).WithAttrs([]slog.Attr{slog.String("by", name)})}
	}
	first, second, failed := user("first"), user("second"), user("failed")
	c, err := newCore(redisTarget{url: "redis://127.0.0.1:1", prefix: "tenzo:"}, first)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.end() })
	logger := c.logger.With("part", "x").WithGroup("g") // made before, as those of the core's parts are
	holds := func(when, want string) {
		t.Helper()
		out.Reset()
		logger.Info("said", "a", 1)
		if !strings.Contains(out.String(), "by="+want+" part=x g.a=1") {
			t.Errorf("%s: logged %q", when, out.String())
		}
	}
	holds("before any started", "first")
	c.use(first)
	holds("started", "first")
	c.use(failed)
	c.leave(failed)
	holds("after one that failed to start", "first")
	c.use(second)
	holds("reloaded", "second")
	c.leave(first)
	holds("the former cleaned up", "second")
	c.leave(second)
	holds("all cleaned up, the core not ended yet", "second")
}

// A core that was made for a configuration which never started, as in a reload that fails, leaves nothing in the metrics: its staleness
// would grow for as long as the process lives.
func TestCoreThatNeverStartedIsForgotten(t *testing.T) {
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
		t.Fatal("there is no such gauge")
		return 0
	}
	harness.Eventually(t, 20*time.Second, func() error { // the cores of other tests are gone
		if s := staleness(); s != 0 {
			return fmt.Errorf("staleness is %g s", s)
		}
		return nil
	})
	c, err := newCore(redisTarget{url: "redis://127.0.0.1:1", prefix: "tenzo:"}, &coreUser{log: slog.DiscardHandler})
	if err != nil {
		t.Fatal(err)
	}
	if staleness() == 0 {
		t.Error("a core that may start any moment is not seen")
	}
	if err := c.end(); err != nil {
		t.Fatal(err)
	}
	if s := staleness(); s != 0 {
		t.Errorf("staleness is %g s though there is no core", s)
	}
}
