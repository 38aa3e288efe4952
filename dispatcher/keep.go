package dispatcher

import (
	"context"
	"errors"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// How often the books are read for the metrics, and what others may have done to the stream is looked for.
const (
	countEvery = time.Second
	auditEvery = 5 // counts
	sweepEvery = 30
	trimBatch  = 500
)

// keep is the housekeeping that every process does, whether or not it has a session: the gauges of what stands in Redis, the limits of
// the dead events, and the look for stranded ones.
func (d *Dispatcher) keep(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		d.count(ctx)
		if n%auditEvery == auditEvery-1 {
			d.audit(ctx)
		}
		if n%sweepEvery == sweepEvery-1 {
			d.settings.sweep()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// count reads the totals and trims the dead events. Errors are the heartbeat's to tell.
func (d *Dispatcher) count(ctx context.Context) {
	t, err := d.queue.Totals(ctx)
	if err != nil {
		return
	}
	d.metrics.show(t)
	if t.Lost > 0 {
		d.options.Logger.Error("events are missing from the stream: somebody deleted or trimmed what was not finished", "events", t.Lost)
	}
	for ctx.Err() == nil {
		expired, dropped, err := d.queue.Trim(ctx, trimBatch)
		d.metrics.dropped.Add(float64(dropped))
		if err != nil || expired+dropped < trimBatch {
			return
		}
	}
}

func (d *Dispatcher) audit(ctx context.Context) {
	strangers, anew, err := d.queue.Audit(ctx)
	if err != nil && !errors.Is(err, queue.ErrUnmarked) {
		return
	}
	if strangers > 0 {
		d.options.Logger.Warn("somebody else reads events in the group `dispatcher`; what they left unfinished is due again", "events", strangers)
	}
	if anew {
		d.options.Logger.Warn("events stood in the stream that nobody held; reading it from its beginning")
	}
}
