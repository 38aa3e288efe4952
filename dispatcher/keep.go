package dispatcher

import (
	"context"
	"time"
)

// How often the books are read for the metrics, and what others may have done to the stream is looked for.
const (
	countEvery = time.Second
	auditEvery = 5 // counts
	sweepEvery = 30
)

// keep is the housekeeping that every process does, whether or not it has a session: the gauges of what stands in Redis, the limits of
// the dead events, and the look for stranded ones.
func (d *Dispatcher) keep(ctx context.Context) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	var look trimming
	for n := 0; ; n++ {
		d.count(ctx, &look)
		if n%auditEvery == auditEvery-1 {
			d.audit(ctx)
		}
		if n%sweepEvery == sweepEvery-1 {
			d.webhooks.sweep()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// count reads the totals and trims the dead events. Errors are the heartbeat's to tell.
func (d *Dispatcher) count(ctx context.Context, look *trimming) {
	t, err := d.queue.Totals(ctx)
	if err != nil {
		return
	}
	d.metrics.show(t)
	if t.Lost > 0 {
		d.options.Logger.Error("events are missing from the stream: somebody deleted or trimmed what was not finished", "events", t.Lost)
	}
	if t.DeadLetters > int64(d.options.DeadLimit) || look.due(time.Now()) {
		d.trim(ctx, look)
	}
}

// trim drops the dead events that are not to be kept, in short steps.
func (d *Dispatcher) trim(ctx context.Context, look *trimming) {
	for ctx.Err() == nil {
		t, err := d.queue.Trim(ctx)
		d.metrics.dropped.Add(float64(t.OverLimit))
		if err != nil {
			return
		}
		if t.Next != 0 {
			look.next(time.Now(), t.Next)
			return
		}
	}
}

// trimming is when to look next whether a dead event is past its retention. A look reads the payload of the oldest, and Redis has
// requests to authenticate meanwhile: so it waits until that event's time has come, within bounds.
type trimming struct{ at time.Time }

// A look comes no sooner, since where events die all the time the next is always about to be due; and no later, since clocks may be set
// and older dead events be restored.
const (
	trimSoonest = 30 * time.Second
	trimLatest  = time.Hour
)

func (t *trimming) due(now time.Time) bool { return !now.Before(t.at) }

// next notes how long it is until a dead event can be past its retention.
func (t *trimming) next(now time.Time, left time.Duration) {
	t.at = now.Add(min(max(left, trimSoonest), trimLatest))
}

func (d *Dispatcher) audit(ctx context.Context) {
	a, err := d.queue.Audit(ctx)
	if err != nil {
		return
	}
	d.metrics.finished(a.Rejected)
	if a.ForeignReads > 0 {
		d.options.Logger.Warn("somebody else reads events in the group `dispatcher`; what they left unfinished is due again", "events", a.ForeignReads)
	}
	if a.GroupRecreated {
		d.options.Logger.Warn("events stood in the stream that nobody held; reading it from its beginning")
	}
}
