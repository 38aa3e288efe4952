package caddymodule

import (
	"context"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/health"
)

// awaitContact returns once Redis has been found with its marker, and remembers that it was. Contact is for good: a later outage is no
// reason to take away a process that still serves what it remembers.
func (c *core) awaitContact(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !c.monitor.State().Initialized {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	c.contacted.Store(true)
}

// report is what /readyz says of a core.
func (c *core) report() health.Report {
	r := health.Report{Ready: c.contacted.Load()}
	if s := c.monitor.State(); s.Err != nil {
		r.Problems = map[string]string{"redis": s.Err.Error() + ", since " + s.Since.UTC().Format(time.RFC3339)}
	}
	return r
}
