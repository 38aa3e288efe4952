package caddymodule

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
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
