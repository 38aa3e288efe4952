package dispatcher

import (
	"context"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/backoff"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// commitBatch is how many steps one pipeline takes at most.
const commitBatch = 1024

// committer writes the outcomes of many workers to Redis in as few round trips as possible:
// whatever waits goes into one pipeline (group commit). It tells the scheduler, the fetcher and the
// metrics what became durable.
//
// Invariant: an outcome that was submitted is committed, or the session has ended. An outage of
// Redis of any length only delays it.
type committer struct {
	process   process
	lease     *lease
	scheduler *scheduler
	signals   *signals
	metrics   *Metrics
	reporter  *reporter

	pending  chan pendingStep
	finished chan struct{} // closed: nothing more is submitted
}

// pendingStep is an outcome that waits to be committed.
type pendingStep struct {
	event    *event
	outcome  outcome
	step     queue.Step
	recorded chan<- bool // retryNow: whether this process still holds the event
}

// newPending makes room for as many steps as there can be, so submitting never blocks: an event has
// one step at a time.
func newPending(o Options) chan pendingStep { return make(chan pendingStep, o.MaxInFlight) }

// submit hands over the last outcome of ev, which the committer forgets once it is durable.
func (c *committer) submit(ev *event, o outcome) {
	c.pending <- pendingStep{event: ev, outcome: o, step: o.step(ev)}
}

// record commits a failed attempt and waits for it. It reports whether this process still holds ev.
func (c *committer) record(ctx context.Context, ev *event, o outcome) bool {
	recorded := make(chan bool, 1)
	c.pending <- pendingStep{event: ev, outcome: o, step: o.step(ev), recorded: recorded}
	select {
	case owned := <-recorded:
		return owned
	case <-ctx.Done():
		return false
	}
}

// finish lets run end once it has committed what was submitted before.
func (c *committer) finish() { close(c.finished) }

// run commits until finish was called and nothing waits any more, or until the session has ended.
func (c *committer) run(ctx context.Context) {
	var batch []pendingStep
	for {
		batch = c.next(ctx, batch[:0])
		if len(batch) == 0 || !c.commit(ctx, batch) {
			return
		}
		clear(batch)
	}
}

// next waits for a step and returns it with all that wait besides, or nothing when run is to end.
func (c *committer) next(ctx context.Context, batch []pendingStep) []pendingStep {
	select {
	case p := <-c.pending:
		batch = append(batch, p)
	case <-c.finished: // what was submitted before comes first
	case <-ctx.Done():
		return nil
	}
	for len(batch) < commitBatch {
		select {
		case p := <-c.pending:
			batch = append(batch, p)
		default:
			return batch
		}
	}
	return batch
}

// commit repeats a batch until Redis has taken it. It reports false if the session ended first.
func (c *committer) commit(ctx context.Context, batch []pendingStep) bool {
	steps := make([]queue.Step, len(batch))
	for i := range batch {
		steps[i] = batch[i].step
	}
	pause := backoff.New(50 * time.Millisecond)
	for repeated := false; ; repeated = true {
		r, err := c.process.Commit(ctx, steps)
		if !c.lease.failed(ctx, err, c.signals) {
			c.reporter.deliveryLog(r.LogErr)
			for i, p := range batch {
				c.durable(p, owned(r.Done[i], repeated, p.outcome.kind))
			}
			return true
		}
		if !pause.Wait(ctx) {
			return false
		}
	}
}

// owned reports whether the event of a committed step was this process's. Redis says so, except
// after a lost reply: a step that lets go of the event and was made the first time finds nothing to
// do the second time, so it counts as made. Recording a failure keeps the event, so the second
// reply is as good as the first.
func owned(done, repeated bool, k outcomeKind) bool {
	return done || repeated && k != retryNow
}

// durable carries on after the step of p is committed. It must not block. If the event is not
// owned, it turned out to be another process's: its end is counted there.
func (c *committer) durable(p pendingStep, owned bool) {
	switch p.outcome.kind {
	case retryNow:
		p.recorded <- owned
		return
	case retryLater:
		c.scheduler.forget(p.event)
		c.signals.retryDueIn(p.outcome.delay)
		return
	case parked:
		c.scheduler.forget(p.event)
		c.scheduler.parked(p.event.OrgID)
		return
	}
	if owned {
		c.finishedEvent(p.event, p.outcome)
	}
	c.scheduler.forget(p.event)
}

// finishedEvent counts and reports an event that came to its end.
func (c *committer) finishedEvent(ev *event, o outcome) {
	m := c.metrics.of(ev.Event)
	switch o.kind {
	case delivered:
		m.outcomes[outcomeDelivered].Inc()
	case skipped:
		m.outcomes[outcomeSkipped].Inc()
		c.reporter.skipped(ev)
	case dead:
		m.outcomes[outcomeDead].Inc()
		c.reporter.deadLettered(ev, o.reason)
	}
}
