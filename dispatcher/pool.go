package dispatcher

import (
	"context"
	"sync"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/schedule"
)

// pool runs a goroutine for each event that has a slot. It hands each outcome to the scheduler, the
// metrics and the committer.
type pool struct {
	worker    *worker
	scheduler *scheduler
	committer *committer
	signals   *signals
	metrics   *Metrics
	reporter  *reporter
	skipped   *skippedLog

	draining <-chan struct{}
	ctx      context.Context // of every worker
	cancel   context.CancelFunc
	running  sync.WaitGroup
}

// start works on an event that has a slot.
func (p *pool) start(ev *event) {
	p.running.Go(func() { p.run(ev) })
}

// stop waits until every worker has ended. After the grace period it cancels what is in flight.
func (p *pool) stop(grace context.Context) {
	idle := make(chan struct{})
	go func() { p.running.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-grace.Done():
	}
	p.cancel()
	<-idle
}

// run works on ev for as long as it keeps its slot: a failed attempt whose retry is due at once is
// recorded, and then made again. The slot is free once the last attempt has ended; the memory is
// free once the last step is committed.
func (p *pool) run(ev *event) {
	for {
		o := p.worker.work(p.ctx, ev)
		p.attemptEnded(ev, o.attempt)
		if o.kind == retryNow && (closed(p.draining) || p.scheduler.OverQuota(&ev.slot)) {
			o.kind = retryLater
		}
		if o.kind == retryNow {
			if p.committer.record(p.ctx, ev, o) {
				continue
			}
			o.kind = abandoned
		}
		if o.kind == skipped {
			o.unlogged = !p.skipped.wants(ev.OrgID, o)
		}
		for _, next := range p.scheduler.releaseSlot(ev) {
			p.start(next)
		}
		if o.kind == abandoned {
			p.abandon(ev)
		} else {
			p.committer.submit(ev, o)
		}
		return
	}
}

// attemptEnded accounts for an attempt, if one was made. It parks what waited in memory for an
// endpoint that is not healthy any more.
func (p *pool) attemptEnded(ev *event, a *attempted) {
	if a == nil {
		return
	}
	change, evicted := p.scheduler.attemptEnded(ev, schedule.Result{
		Acknowledged: a.Acknowledged, ConnectFailed: a.ConnectFailed && !a.Cancelled,
	})
	for _, waiting := range evicted {
		p.committer.submit(waiting, outcome{kind: parked})
	}
	if a.Cancelled {
		return
	}
	m := p.metrics.of(ev.Event)
	m.attempted(a.Result)
	if a.Acknowledged {
		m.delivered(ev.PublishedAt)
	}
	p.reporter.endpoint(change, ev.OrgID, a.Error)
}

// abandon gives ev up without a step. While draining it stays in memory, and is released with all
// the rest when the session ends. Otherwise reconcile requeues it if it is still leased to this
// process.
func (p *pool) abandon(ev *event) {
	if !closed(p.draining) {
		p.scheduler.forget(ev)
		p.signals.reconcile()
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
