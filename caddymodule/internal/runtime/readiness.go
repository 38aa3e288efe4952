package runtime

import (
	"context"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/health"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// maxFollowLag is how old the last proof that every change has been seen may be before that is a
// problem: a follower that is cut off is noticed within 5 s (specification.md, section 5).
const maxFollowLag = 5 * time.Second

// awaitContact returns when Redis has been found with its marker, and records that. A later outage
// does not undo it: it is no reason to take away a process that still serves cached keys.
func (r *Runtime) awaitContact(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !r.monitor.State().Initialized {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	r.contacted.Store(true)
}

// Readiness is what /readyz says about the Runtime.
func (r *Runtime) Readiness() health.Report {
	report := health.Report{Ready: r.contacted.Load()}
	since := func(t time.Time) string { return ", since " + t.UTC().Format(time.RFC3339) }
	state := r.monitor.State()
	if state.Err != nil {
		report.Problems = map[string]string{"redis": store.Problem(state.Err) + since(state.Since)}
	}
	if !state.Up || !state.Initialized {
		return report
	}
	proven := r.follower.ProvenAt()
	if proven.IsZero() {
		proven = r.created
	}
	if time.Since(proven) > maxFollowLag {
		if report.Problems == nil {
			report.Problems = map[string]string{}
		}
		report.Problems["changes"] = "changes of keys and webhooks cannot be followed; a revocation may take up to 60 s" + since(proven)
	}
	return report
}
