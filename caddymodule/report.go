package caddymodule

import (
	"context"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/health"
)

// followedWithin is how old the last proof may be that every change has been seen, before that is a problem (specification.md, section 5: what cuts
// the follower off is noticed within 5 s).
const followedWithin = 5 * time.Second

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
	since := func(t time.Time) string { return ", since " + t.UTC().Format(time.RFC3339) }
	if s := c.monitor.State(); s.Err != nil {
		r.Problems = map[string]string{"redis": s.Err.Error() + since(s.Since)}
		return r
	}
	proven := c.follower.ProvenAt()
	if proven.IsZero() {
		proven = c.made
	}
	if time.Since(proven) > followedWithin {
		r.Problems = map[string]string{"changes": "changes of keys and webhooks cannot be followed, so a revocation may take 60 s to be seen" + since(proven)}
	}
	return r
}
