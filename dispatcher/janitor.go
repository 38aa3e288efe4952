package dispatcher

import (
	"context"
	"log/slog"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// How often the janitor updates the gauges, and after how many updates it does what is due less
// often.
const (
	updateEvery        = time.Second
	auditEvery         = 5 // updates
	sweepWebhooksEvery = 30
)

// janitor does the housekeeping of a dispatcher, whether or not it has a session: the gauges of
// what is in Redis, the bounds of the dead letters, the audit of the stream, and forgetting old
// webhooks.
type janitor struct {
	queue         *queue.Queue
	deadLimit     int64
	metrics       *Metrics
	logger        *slog.Logger
	sweepWebhooks func() // drops cached webhooks that are too old to be used
	reporter      *reporter

	nextTrim nextTrim
}

// run works until ctx ends.
func (j *janitor) run(ctx context.Context) {
	tick := time.NewTicker(updateEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		j.updateGauges(ctx)
		j.reporter.logDue()
		if n%auditEvery == 0 {
			j.audit(ctx)
		}
		if n%sweepWebhooksEvery == 0 {
			j.sweepWebhooks()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// updateGauges reads the totals, and trims the dead letters when that is due. The heartbeat reports
// errors.
func (j *janitor) updateGauges(ctx context.Context) {
	t, err := j.queue.Totals(ctx)
	if err != nil {
		return
	}
	j.metrics.show(t)
	if t.Lost > 0 {
		j.logger.Error("events are missing from the stream: unfinished events were deleted or trimmed", "events", t.Lost)
	}
	if t.DeadLetters > j.deadLimit || j.nextTrim.due(time.Now()) {
		j.trim(ctx)
	}
}

// trim drops the dead letters that are beyond their bounds, in short steps.
func (j *janitor) trim(ctx context.Context) {
	for ctx.Err() == nil {
		t, err := j.queue.Trim(ctx)
		j.metrics.dropped.Add(float64(t.OverLimit))
		if err != nil {
			return
		}
		if t.Next != 0 {
			j.nextTrim.schedule(time.Now(), t.Next)
			return
		}
	}
}

// nextTrim is when to look next whether a dead letter is past its retention. A look reads the
// payload of the oldest one, and Redis has requests to authenticate meanwhile. So it waits until
// the oldest is due, within bounds.
type nextTrim struct{ at time.Time }

// A look comes no sooner, because where events die all the time the next one is always about to be
// due; and no later, because clocks may be set and older dead letters be restored.
const (
	trimSoonest = 30 * time.Second
	trimLatest  = time.Hour
)

func (t *nextTrim) due(now time.Time) bool { return !now.Before(t.at) }

// schedule notes after how long a dead letter can be past its retention.
func (t *nextTrim) schedule(now time.Time, after time.Duration) {
	t.at = now.Add(min(max(after, trimSoonest), trimLatest))
}

// audit finds and repairs what only other programs can do to the stream.
func (j *janitor) audit(ctx context.Context) {
	a, err := j.queue.Audit(ctx)
	if err != nil {
		return
	}
	j.metrics.rejected(a.Rejected)
	if a.ForeignReads > 0 {
		j.logger.Warn("foreign consumer in group dispatcher; requeued the events that it left unfinished", "events", a.ForeignReads)
	}
	if a.GroupRecreated {
		j.logger.Warn("the stream held events that no dispatcher had; reading it again from its beginning")
	}
}
