package dispatcher

import (
	"context"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/schedule"
)

// bareSession is a registered session whose fetcher is the test, one step at a time.
func (e *env) bareSession(n *endpoints) *session {
	e.t.Helper()
	o := Defaults()
	o.Logger = slog.New(slog.NewTextHandler(testWriter{e.t}, nil))
	d, err := New(e.store, changes.New(e.store, o.Logger), o)
	if err != nil {
		e.t.Fatal(err)
	}
	d.sender, d.projector = n, passes{}
	s := newSession(d, d.queue.NewProcess())
	if !s.register(nil) {
		e.t.Fatal("not registered")
	}
	committing := startLoop(s.ctx, s.committer.run)
	e.t.Cleanup(func() {
		s.cancel()
		s.pool.stop(s.ctx)
		committing.stop()
	})
	return s
}

// fetchDueNow fetches what is due, as the fetcher does.
func (s *session) fetchDueNow(ctx context.Context) {
	s.fetcher.signals.nextDueAt.Store(0)
	s.fetcher.fetchDue(ctx)
}

// An event that is dequeued again before its last step has its reply stays untouched until that
// step is done with: repeated, the step would move the event away from under its next attempt,
// whose outcome would be lost.
func TestRedeliveredBeforeItsStepIsDone(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"the reply is late": false, "the reply was lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			e := newEnv(t)
			e.webhook("a")
			n := newEndpoints()
			s := e.bareSession(n)
			f := s.fetcher
			e.publish("a", "x")
			b, err := s.process.Dequeue(ctx, 1, 1<<21)
			if err != nil || len(b.Events) != 1 {
				t.Fatal(b, err)
			}
			// An attempt failed, and its step is made; the committer does not know that yet.
			ev := newEvent(b.Events[0])
			if a, _ := s.scheduler.admit(ev); a != schedule.Start {
				t.Fatalf("admission %v", a)
			}
			ev.Attempts = 1
			s.scheduler.releaseSlot(ev)
			commit := func() bool {
				c, err := s.process.Commit(ctx, []queue.Step{{Kind: queue.StepReschedule, Event: &ev.LeasedEvent}})
				if err != nil {
					t.Fatal(err)
				}
				return c.Done[0]
			}
			commit()
			s.fetchDueNow(ctx)
			s.fetchDueNow(ctx)
			if len(f.redelivered) != 1 || s.scheduler.Find(ev.Entry) != &ev.slot {
				t.Fatalf("redelivered: %v; in memory: %v", f.redelivered, s.scheduler.Find(ev.Entry))
			}
			if err := f.requeueRedelivered(ctx); err != nil || len(f.redelivered) != 1 {
				t.Fatalf("requeued too early: %v", err)
			}
			if lost && !commit() {
				t.Fatal("the repeated step found nothing to do")
			}
			s.scheduler.forget(ev)
			if err := f.requeueRedelivered(ctx); err != nil || len(f.redelivered) != 0 {
				t.Fatalf("not requeued: %v", err)
			}
			s.fetchDueNow(ctx)
			await(t, func() bool { return s.scheduler.Len() == 0 })
			bk, err := e.q.Books(ctx)
			if err != nil || bk != (queue.Books{Published: 1, Delivered: 1}) {
				t.Errorf("books %+v, %v", bk, err)
			}
			if c := n.count("a", "x"); c != 1 {
				t.Errorf("%d requests", c)
			}
			if _, left := s.scheduler.Room(); left != f.options.MaxInFlightBytes || testutil.ToFloat64(s.metrics.inFlight) != 0 {
				t.Errorf("left behind: %d bytes", f.options.MaxInFlightBytes-left)
			}
		})
	}
}
