package dispatcher

import (
	"context"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// For how long a process must have seen another's lease expired before it recovers that one's work,
// and the longest gap between two answered looks, after which it starts to watch anew. So a Redis
// that stands still costs no process its work. With queue.LeaseTime of 6 s, a dead process's work
// moves on within 6+1+2.5+1 s of its death.
const (
	expiredFor = 2500 * time.Millisecond
	longestGap = 2500 * time.Millisecond
)

// recoverer requeues the work of dead processes: those whose lease has expired for long enough. The
// heartbeat calls it, since each renewal tells which leases have expired.
type recoverer struct {
	process  process
	lease    *lease
	signals  *signals
	metrics  *Metrics
	reporter *reporter
	draining <-chan struct{}

	expired map[string]time.Time // by process: since when its lease was seen expired
	lastAt  time.Time            // of the last look
}

// reset starts to watch anew.
func (r *recoverer) reset() { clear(r.expired) }

// look notes the expired leases of a renewal, and recovers the work of processes that are dead.
func (r *recoverer) look(ctx context.Context, now time.Time, l queue.Lease) {
	if age(now, r.lastAt) > longestGap || !l.Initialized {
		r.reset()
	}
	r.lastAt = now
	seen := map[string]bool{}
	for _, other := range l.Expired {
		seen[other] = true
		since, known := r.expired[other]
		if !known {
			r.expired[other] = now
			continue
		}
		if now.Sub(since) < expiredFor || closed(r.draining) {
			continue
		}
		if !r.requeue(ctx, other) {
			return
		}
	}
	for other := range r.expired {
		if !seen[other] {
			delete(r.expired, other)
		}
	}
}

// requeue moves on what a dead process held. It reports false if Redis failed.
func (r *recoverer) requeue(ctx context.Context, deadProcess string) bool {
	moved, crashed, err := r.process.Recover(ctx, deadProcess)
	r.metrics.recovered.Add(float64(moved))
	for _, event := range crashed {
		r.metrics.of(event).outcomes[outcomeDead].Inc()
	}
	if moved > 0 {
		r.reporter.recovered(moved, len(crashed))
		r.signals.retryDueIn(0)
	}
	return !r.lease.failed(ctx, err, r.signals)
}
