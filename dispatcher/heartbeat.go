package dispatcher

import (
	"context"
	"errors"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// How often a process renews its lease and looks at the others', and after how many renewals in a
// row in which Redis leases it more events than it knows of it compares the two.
const (
	heartbeatEvery  = time.Second
	mismatchedBeats = 5
)

// heartbeat keeps the lease, and has the recoverer look at the leases of others.
type heartbeat struct {
	process   process
	lease     *lease
	scheduler *scheduler
	signals   *signals
	reporter  *reporter
	recoverer *recoverer

	mismatched int // renewals in a row in which Redis leased more than is in memory
}

// run renews until ctx ends.
func (h *heartbeat) run(ctx context.Context) {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		h.beat(ctx)
	}
}

func (h *heartbeat) beat(ctx context.Context) {
	requestedAt := time.Now()
	call, cancel := context.WithTimeout(ctx, 2*time.Second)
	l, err := h.process.Renew(call)
	cancel()
	switch {
	case ctx.Err() != nil:
		return
	case errors.Is(err, queue.ErrFenced):
		h.reporter.fenced()
		h.lease.fence()
		return
	}
	h.reporter.redis(err, l.Initialized)
	if err != nil {
		h.signals.reconcile()
		h.recoverer.reset()
		return
	}
	h.lease.renew(requestedAt, l.Initialized)
	if h.mismatched++; l.Events <= h.scheduler.Len() {
		h.mismatched = 0
	} else if h.mismatched >= mismatchedBeats {
		h.signals.reconcile()
	}
	h.recoverer.look(ctx, requestedAt, l)
}
