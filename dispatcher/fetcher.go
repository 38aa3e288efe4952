package dispatcher

import (
	"context"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/backoff"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/schedule"
)

// How much one step fetches, and after how long the fetcher looks again at the latest.
const (
	newBatch    = 256
	retryBatch  = 128
	unparkBatch = 256
	unparkOrgs  = 64
	parkedPage  = 500
	lookAgain   = time.Second
)

// fetcher dequeues events whenever there is room in memory: due retries, parked events of endpoints
// with room, and new events, in turn, so that none of the three starves the others.
//
// Invariant: only the fetcher dequeues. So what Redis leases to this process can be compared with
// what is in memory between two of its steps (reconcile).
type fetcher struct {
	options   Options
	process   process
	lease     *lease
	scheduler *scheduler
	signals   *signals
	arrivals  *arrivals
	pool      *pool
	committer *committer
	metrics   *Metrics
	reporter  *reporter
	prefetch  func(ctx context.Context, orgs []string) // reads webhooks ahead of their use

	fresh       bool   // there may be new events
	cursor      string // how far the stream was read
	page        int    // of the list of organizations with parked events
	redelivered []redelivered
}

// run fetches until ctx ends.
func (f *fetcher) run(ctx context.Context) {
	f.fresh = true
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	var lookedAt time.Time
	for ctx.Err() == nil {
		if !f.lease.await(ctx, nil) {
			return
		}
		if f.signals.mismatch.Swap(false) {
			f.reconcile(ctx)
		}
		f.failed(ctx, f.requeueRedelivered(ctx))
		if now := time.Now(); now.Sub(lookedAt) >= lookAgain {
			lookedAt = now
			f.fresh = true
			f.signals.nextDueAt.Store(0)
			f.findParked(ctx)
		}
		due, unparked, dequeued := f.fetchDue(ctx), f.fetchParked(ctx), f.fetchNew(ctx)
		if due || unparked || dequeued {
			continue
		}
		pause := min(lookAgain, max(0, time.Until(time.Unix(0, f.signals.nextDueAt.Load()))))
		timer.Reset(max(pause, time.Millisecond))
		select {
		case <-timer.C:
		case <-f.signals.awake:
		case <-f.arrivals.arrived:
			f.arrivals.waiting = false
			f.fresh = true
		case <-ctx.Done():
		}
	}
}

// room returns how many events may be dequeued: 0 until there is room worth a round trip.
func (f *fetcher) room() (n int, bytes int64) {
	n, bytes = f.scheduler.Room()
	if bytes < int64(f.options.MaxPayload) || n < min(64, max(1, f.options.MaxInFlight/8)) {
		return 0, 0
	}
	return n, bytes
}

// fetchDue fetches events whose retry is due. It leaves half of the room to the others. It reports
// whether there may be more.
func (f *fetcher) fetchDue(ctx context.Context) bool {
	if time.Now().UnixNano() < f.signals.nextDueAt.Load() {
		return false
	}
	n, bytes := f.room()
	if n == 0 {
		f.signals.nextDueAt.Store(time.Now().Add(50 * time.Millisecond).UnixNano())
		return false
	}
	f.signals.nextDueAt.Store(time.Now().Add(lookAgain).UnixNano())
	b, err := f.process.DequeueDue(ctx, min((n+1)/2, retryBatch), bytes)
	if f.failed(ctx, err) {
		return false
	}
	if b.NextDue >= 0 {
		f.signals.retryDueIn(b.NextDue)
	}
	f.accept(ctx, b)
	return len(b.Events) > 0 || b.NextDue == 0
}

// fetchParked fetches parked events for endpoints that have room. It reports whether there may be
// more.
func (f *fetcher) fetchParked(ctx context.Context) bool {
	n, bytes := f.room()
	if n == 0 {
		return false
	}
	grants := f.scheduler.Unparkable(unparkOrgs, min(n, unparkBatch))
	if len(grants) == 0 {
		return false
	}
	capacities := make([]queue.Capacity, len(grants))
	for i, g := range grants {
		capacities[i] = queue.Capacity{OrgID: g.OrgID, N: g.Events}
	}
	b, err := f.process.Unpark(ctx, capacities, bytes)
	if f.failed(ctx, err) {
		return false
	}
	f.accept(ctx, b)
	for i, left := range b.Remaining {
		f.scheduler.Unparked(grants[i].OrgID, left)
	}
	return len(b.Events) > 0
}

// fetchNew fetches new events, and starts to wait for more once the stream was read to its end. It
// reports whether there may be more.
func (f *fetcher) fetchNew(ctx context.Context) bool {
	if !f.fresh {
		return false
	}
	n, bytes := f.room()
	if n == 0 {
		return false
	}
	b, err := f.process.Dequeue(ctx, min(n, newBatch), bytes)
	if f.failed(ctx, err) {
		return false
	}
	f.metrics.rejected(b.Rejected)
	f.accept(ctx, b)
	if b.Cursor != "" {
		f.cursor = b.Cursor
	}
	if b.AtEnd {
		f.fresh = false
		f.arrivals.wait(f.cursor)
	}
	return !b.AtEnd
}

// findParked learns, a page at a time, which organizations have parked events: other processes may
// have parked them.
func (f *fetcher) findParked(ctx context.Context) {
	orgs, err := f.process.ParkedOrgs(ctx, f.page*parkedPage, parkedPage)
	if f.failed(ctx, err) {
		return
	}
	f.scheduler.parked(orgs...)
	f.page++
	if len(orgs) < parkedPage {
		f.page = 0
	}
}

// accept takes a batch into memory. It reads the webhooks of its organizations in one round trip.
func (f *fetcher) accept(ctx context.Context, b queue.Batch) {
	f.scheduler.parked(b.Parked...)
	if len(b.Events) == 0 {
		return
	}
	orgs := make([]string, len(b.Events))
	for i := range b.Events {
		orgs[i] = b.Events[i].OrgID
	}
	f.prefetch(ctx, orgs)
	for i := range b.Events {
		ev := newEvent(b.Events[i])
		switch admission, known := f.scheduler.admit(ev); admission {
		case schedule.Start:
			f.pool.start(ev)
		case schedule.Queue: // the pool starts it when a slot is free
		case schedule.Park:
			f.committer.submit(ev, outcome{kind: parked})
		case schedule.Duplicate:
			f.redelivered = append(f.redelivered, redelivered{ev.Entry, known})
		}
	}
}

// failed handles the error of a step and reports whether there was one. It pauses after one.
func (f *fetcher) failed(ctx context.Context, err error) bool {
	if !f.lease.failed(ctx, err, f.signals) {
		return false
	}
	backoff.Sleep(ctx, 100*time.Millisecond)
	return true
}
