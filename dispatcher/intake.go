package dispatcher

import (
	"context"
	"errors"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// How much one step takes, and how long the intake waits at most before it looks again.
const (
	takeBatch  = 256
	retryBatch = 128
	unparkOrgs = 64
	lookAgain  = time.Second
	parkedPage = 500
)

// intake takes work from Redis whenever there is room: due retries, parked events of endpoints with room, and new ones, in turn, so
// that none of them starves the others. It is the only goroutine that takes, so what Redis says we hold can be compared with what is
// in memory between two of its steps.
func (s *session) intake(ctx context.Context) {
	listener := newListener(s)
	defer listener.stop()
	fresh := true // there may be new events
	cursor := ""
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	var looked time.Time
	page := 0
	for ctx.Err() == nil {
		if open, turned := s.gate.open(); !open {
			select {
			case <-turned:
			case <-ctx.Done():
			}
			continue
		}
		if s.dirty.Swap(false) {
			s.reconcile(ctx)
		}
		s.failed(ctx, s.giveRetaken(ctx))
		busy := false
		if now := time.Now(); now.Sub(looked) >= lookAgain {
			looked = now
			fresh = true
			s.nextDue.Store(0)
			page = s.lookForParked(ctx, page)
		}
		if s.due(ctx) {
			busy = true
		}
		if s.unpark(ctx) {
			busy = true
		}
		if fresh {
			took, end, at := s.take(ctx)
			if at != "" {
				cursor = at
			}
			if end {
				fresh = false
				listener.listen(cursor)
			}
			busy = busy || took
		}
		if busy {
			continue
		}
		pause := min(lookAgain, max(0, time.Until(time.Unix(0, s.nextDue.Load()))))
		timer.Reset(max(pause, time.Millisecond))
		select {
		case <-timer.C:
		case <-s.wake:
		case <-listener.heard:
			listener.idle = true
			fresh = true
		case <-ctx.Done():
		}
	}
}

// room says how many events may be taken; 0 until there is room worth a round trip.
func (s *session) room() (n int, bytes int64) {
	n, bytes = s.board.room()
	if o := s.d.options; bytes < int64(o.MaxPayload) || n < min(64, max(1, o.MaxInFlight/8)) {
		return 0, 0
	}
	return n, bytes
}

// take takes new events. end says that there were no more, cursor where the stream was read to.
func (s *session) take(ctx context.Context) (took, end bool, cursor string) {
	n, bytes := s.room()
	if n == 0 {
		return false, false, ""
	}
	b, err := s.process.Dequeue(ctx, min(n, takeBatch), bytes)
	if s.failed(ctx, err) {
		return false, false, ""
	}
	s.d.metrics.finished(b.Rejected)
	s.accept(ctx, b)
	return !b.AtEnd, b.AtEnd, b.Cursor
}

// due takes events whose retry is due. It leaves half of the room to the others.
func (s *session) due(ctx context.Context) bool {
	if time.Now().UnixNano() < s.nextDue.Load() {
		return false
	}
	n, bytes := s.room()
	if n == 0 {
		s.nextDue.Store(time.Now().Add(50 * time.Millisecond).UnixNano())
		return false
	}
	s.nextDue.Store(time.Now().Add(lookAgain).UnixNano())
	b, err := s.process.DequeueDue(ctx, min((n+1)/2, retryBatch), bytes)
	if s.failed(ctx, err) {
		return false
	}
	if b.NextDue >= 0 {
		s.dueIn(b.NextDue)
	}
	s.accept(ctx, b)
	return len(b.Events) > 0 || b.NextDue == 0
}

// unpark takes parked events for endpoints that have room.
func (s *session) unpark(ctx context.Context) bool {
	n, bytes := s.room()
	if n == 0 {
		return false
	}
	some := s.board.unparkable(unparkOrgs, min(n, takeBatch))
	if len(some) == 0 {
		return false
	}
	rooms := make([]queue.Capacity, len(some))
	for i, r := range some {
		rooms[i] = queue.Capacity{OrgID: r.org, N: r.n}
	}
	b, err := s.process.Unpark(ctx, rooms, bytes)
	if s.failed(ctx, err) {
		return false
	}
	s.accept(ctx, b)
	for i, left := range b.Remaining {
		s.board.unparked(some[i].org, left)
	}
	return len(b.Events) > 0
}

// lookForParked learns, a page at a time, which organizations have parked events: others may have parked them.
func (s *session) lookForParked(ctx context.Context, page int) int {
	orgs, err := s.process.ParkedOrgs(ctx, page*parkedPage, parkedPage)
	if s.failed(ctx, err) {
		return page
	}
	s.board.parkedIn(orgs)
	if len(orgs) < parkedPage {
		return 0
	}
	return page + 1
}

// accept takes a batch into memory, its organizations' settings in one read.
func (s *session) accept(ctx context.Context, b queue.Batch) {
	s.board.parkedIn(b.Parked)
	if len(b.Events) == 0 {
		return
	}
	orgs := make([]string, len(b.Events))
	for i := range b.Events {
		orgs[i] = b.Events[i].OrgID
	}
	s.d.webhooks.prefetch(ctx, orgs)
	for i := range b.Events {
		j := &job{LeasedEvent: b.Events[i]}
		v, known := s.board.admit(j)
		if v != again {
			s.d.metrics.inFlight.Inc()
		}
		switch v {
		case start:
			s.start(j)
		case park:
			s.park(j)
		case wait:
		case again:
			s.retaken = append(s.retaken, retaken{j.Entry, known})
		}
	}
}

// start runs an event that has a slot.
func (s *session) start(j *job) {
	s.runners.Go(func() { s.run(s.work, j) })
}

// free gives j's slot to the next.
func (s *session) free(j *job) {
	for _, next := range s.board.leave(j) {
		s.start(next)
	}
	s.poke()
}

// park sends an event back to Redis until its endpoint has room.
func (s *session) park(j *job) {
	j.body, j.Payload = nil, nil
	s.committer.submit(queue.Step{Kind: queue.StepPark, Event: &j.LeasedEvent}, func(bool) {
		s.drop(j)
		s.board.parkedIn([]string{j.OrgID})
	})
}

// drop forgets an event.
func (s *session) drop(j *job) {
	s.board.drop(j)
	s.d.metrics.inFlight.Dec()
	s.poke()
}

// poke wakes the intake.
func (s *session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// dueIn has the retries looked at after a time, unless they are earlier anyway.
func (s *session) dueIn(d time.Duration) {
	at := time.Now().Add(d).UnixNano()
	for {
		next := s.nextDue.Load()
		if next <= at {
			return
		}
		if s.nextDue.CompareAndSwap(next, at) {
			s.poke()
			return
		}
	}
}

// failed deals with the error of a taking step.
func (s *session) failed(ctx context.Context, err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, queue.ErrFenced):
		s.gone()
	case errors.Is(err, queue.ErrNotInitialized):
		s.gate.unmark()
	case ctx.Err() == nil:
		s.trouble(err)
		sleep(ctx, 100*time.Millisecond)
	}
	return true
}

// reconcile gives back what Redis holds for us and we do not know: its answer was lost.
func (s *session) reconcile(ctx context.Context) {
	held, err := s.process.Leased(ctx)
	if s.failed(ctx, err) {
		return
	}
	var strays []string
	for _, entry := range held {
		if s.board.job(entry) == nil {
			strays = append(strays, entry)
		}
	}
	if len(strays) == 0 {
		return
	}
	s.d.health.strays(len(strays))
	if !s.failed(ctx, s.process.Requeue(ctx, strays)) {
		s.dueIn(0)
	}
}
