package dispatcher

import (
	"context"
	"time"
)

const sweepEndpointsEvery = 250 * time.Millisecond

// sweeper has endpoints judged as time passes, and parks what waits in memory for those that became
// unhealthy.
type sweeper struct {
	scheduler *scheduler
	committer *committer
	signals   *signals
}

// run sweeps until ctx ends.
func (s *sweeper) run(ctx context.Context) {
	tick := time.NewTicker(sweepEndpointsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, ev := range s.scheduler.sweep() {
				s.committer.submit(ev, outcome{kind: parked})
			}
			s.signals.wake()
		case <-ctx.Done():
			return
		}
	}
}
