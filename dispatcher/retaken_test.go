package dispatcher

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// bareSession is a registered session whose intake is the test, one step at a time.
func (e *env) bareSession(n *endpoints) *session {
	e.t.Helper()
	o := Defaults()
	o.Logger = slog.New(slog.NewTextHandler(testWriter{e.t}, nil))
	d, err := New(e.store, changes.New(e.store, o.Logger), o)
	if err != nil {
		e.t.Fatal(err)
	}
	d.sender, d.projector = n, passes{}
	s := newSession(d)
	ctx, cancel := context.WithCancel(context.Background())
	s.work, s.cancel = ctx, cancel
	if !s.register(ctx, nil) {
		e.t.Fatal("not registered")
	}
	var committer sync.WaitGroup
	committer.Go(func() { s.committer.run(ctx, nil) })
	e.t.Cleanup(func() {
		cancel()
		s.runners.Wait()
		committer.Wait()
	})
	return s
}

// dueNow takes what is due, as the intake does.
func (s *session) dueNow(ctx context.Context) {
	s.nextDue.Store(0)
	s.due(ctx)
}

// An event that comes again before the answer to its last step has, stays untouched until that step is out of the way: made again, it
// would move the event away from under its next attempt, whose outcome would be lost.
func TestTakenAgainBeforeItsStepIsOver(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"the answer is late": false, "the answer was lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			e := newEnv(t)
			e.webhook("a")
			n := newEndpoints()
			s := e.bareSession(n)
			e.publish("a", "x")
			b, err := s.process.Dequeue(ctx, 1, 1<<21)
			if err != nil || len(b.Events) != 1 {
				t.Fatal(b, err)
			}
			// An attempt failed, and its step is made; of that the committer does not know yet.
			j := &job{LeasedEvent: b.Events[0]}
			if v, _ := s.board.admit(j); v != start {
				t.Fatalf("verdict %v", v)
			}
			s.d.metrics.inFlight.Inc()
			j.Attempts = 1
			s.free(j)
			commit := func() bool {
				c, err := s.process.Commit(ctx, []queue.Step{{Kind: queue.StepReschedule, Event: &j.LeasedEvent}})
				if err != nil {
					t.Fatal(err)
				}
				return c.Done[0]
			}
			commit()
			s.dueNow(ctx)
			s.dueNow(ctx)
			if len(s.retaken) != 1 || s.board.job(j.Entry) != j {
				t.Fatalf("taken again: %v; held: %v", s.retaken, s.board.job(j.Entry))
			}
			if err := s.giveRetaken(ctx); err != nil || len(s.retaken) != 1 {
				t.Fatalf("given back too early: %v", err)
			}
			if lost && !commit() {
				t.Fatal("the step made again found nothing")
			}
			s.drop(j)
			if err := s.giveRetaken(ctx); err != nil || len(s.retaken) != 0 {
				t.Fatalf("not given back: %v", err)
			}
			s.dueNow(ctx)
			await(t, func() bool { return s.board.size() == 0 })
			bk, err := e.q.Books(ctx)
			if err != nil || bk != (queue.Books{Published: 1, Delivered: 1}) {
				t.Errorf("books %+v, %v", bk, err)
			}
			if c := n.count("a", "x"); c != 1 {
				t.Errorf("%d requests", c)
			}
			if s.board.bytes != 0 || testutil.ToFloat64(s.d.metrics.inFlight) != 0 {
				t.Errorf("left behind: %d bytes", s.board.bytes)
			}
		})
	}
}
