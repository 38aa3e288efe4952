package dispatcher

import (
	"context"
	"errors"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/backoff"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/schedule"
)

// What follows gives events back to Redis that the fetcher dequeued and that cannot be attempted
// here: those whose dequeue reply was lost, those that are in memory already, and at shutdown those
// that wait.

// reconcile requeues what Redis leases to this process and is not in memory: its dequeue reply was
// lost.
func (f *fetcher) reconcile(ctx context.Context) {
	leased, err := f.process.Leased(ctx)
	if f.failed(ctx, err) {
		return
	}
	var unknown []string
	for _, entry := range leased {
		if f.scheduler.Find(entry) == nil {
			unknown = append(unknown, entry)
		}
	}
	if len(unknown) == 0 {
		return
	}
	f.reporter.requeued(len(unknown))
	if !f.failed(ctx, f.process.Requeue(ctx, unknown)) {
		f.signals.retryDueIn(0)
	}
}

// redelivered is an event that was dequeued while it is still in memory: its last step was made and
// let go of it, but the committer has not had the reply yet, or is about to repeat the step because
// the reply was lost. The repeated step would move the event away from under an attempt begun
// meanwhile. So no attempt is begun: the event is requeued once the step is done with.
type redelivered struct {
	entry string
	known *schedule.Event // what is in memory
}

// requeueRedelivered requeues redelivered events whose step is done with. If the repeated step
// moved the event away after all, requeuing changes nothing; and if the entry is in memory as
// another event, that one holds the lease and stays. It may be called by the fetcher alone, or
// after the fetcher has ended.
func (f *fetcher) requeueRedelivered(ctx context.Context) error {
	if len(f.redelivered) == 0 {
		return nil
	}
	var early, ripe []redelivered
	var entries []string
	for _, r := range f.redelivered {
		switch f.scheduler.Find(r.entry) {
		case r.known:
			early = append(early, r)
		case nil:
			ripe = append(ripe, r)
			entries = append(entries, r.entry)
		}
	}
	f.redelivered = early
	if len(ripe) == 0 {
		return nil
	}
	if err := f.process.Requeue(ctx, entries); err != nil {
		f.redelivered = append(early, ripe...)
		return err
	}
	f.signals.retryDueIn(0)
	return nil
}

// requeueWaiting requeues at shutdown, at once, the events for which no attempt was begun. It
// starts when run has ended, so nothing is added. What it leaves when ctx ends is released with all
// the rest.
func (f *fetcher) requeueWaiting(ctx context.Context) {
	waiting := f.scheduler.drain()
	entries := make([]string, len(waiting))
	for i, ev := range waiting {
		entries[i] = ev.Entry
	}
	for {
		err := f.process.Requeue(ctx, entries)
		if err == nil {
			for _, ev := range waiting {
				f.scheduler.forget(ev)
			}
			waiting, entries = nil, nil
			err = f.requeueRedelivered(ctx)
		}
		if err == nil && len(f.redelivered) == 0 || errors.Is(err, queue.ErrFenced) {
			return
		}
		if !backoff.Sleep(ctx, 100*time.Millisecond) {
			return
		}
	}
}
