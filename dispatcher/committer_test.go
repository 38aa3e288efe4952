package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// commits stands in for Redis: it answers each Commit as the test says.
type commits struct {
	process
	mu      sync.Mutex
	replies []error // the next ones; then none fails
	done    func(queue.Step) bool
	steps   [][]queue.Step
}

func (c *commits) Commit(_ context.Context, steps []queue.Step) (queue.CommitResult, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.steps = append(c.steps, append([]queue.Step(nil), steps...))
	if len(c.replies) > 0 {
		err := c.replies[0]
		c.replies = c.replies[1:]
		if err != nil {
			return queue.CommitResult{}, err
		}
	}
	r := queue.CommitResult{Done: make([]bool, len(steps))}
	for i, s := range steps {
		r.Done[i] = c.done == nil || c.done(s)
	}
	return r, nil
}

type committing struct {
	*committer
	redis *commits
	ended chan struct{}
	end   context.CancelFunc
}

func startCommitter(t *testing.T) *committing {
	t.Helper()
	o := Defaults()
	m, r := NewMetrics(), newReporter(slog.New(slog.DiscardHandler))
	signals := newSignals(r)
	ctx, cancel := context.WithCancel(t.Context())
	c := &committing{redis: &commits{}, ended: make(chan struct{}), end: cancel}
	c.committer = &committer{
		process: c.redis, lease: newLease(cancel), scheduler: newScheduler(o, m, signals), signals: signals, metrics: m, reporter: r,
		pending: newPending(o), finished: make(chan struct{}),
	}
	go func() { c.run(ctx); close(c.ended) }()
	return c
}

// admitted is an event in memory.
func (c *committing) admitted(entry string) *event {
	ev := newEvent(queue.LeasedEvent{Entry: entry, OrgID: "a", ID: entry, Event: "note.finalized", Payload: []byte("{}")})
	c.scheduler.admit(ev)
	return ev
}

func (c *committing) counted(outcome string) float64 {
	return testutil.ToFloat64(c.metrics.of("note.finalized").outcomes[outcome])
}

var errLost = errors.New("the reply was lost")

// What becomes durable is forgotten, and what ended is counted if the event was this process's.
// After a lost reply nothing tells whether it was, and a step that lets go of the event counts as
// made.
func TestCommitted(t *testing.T) {
	for name, tt := range map[string]struct {
		lost  int
		done  bool
		count float64
	}{
		"done":                           {0, true, 1},
		"another process's":              {0, false, 0},
		"done by the first of two":       {1, false, 1},
		"done by the second of two":      {1, true, 1},
		"done by some of ten, all alike": {9, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := startCommitter(t)
				for range tt.lost {
					c.redis.replies = append(c.redis.replies, errLost)
				}
				c.redis.done = func(queue.Step) bool { return tt.done }
				c.submit(c.admitted("1-0"), outcome{kind: delivered})
				c.submit(c.admitted("2-0"), outcome{kind: skipped})
				c.submit(c.admitted("3-0"), outcome{kind: dead, reason: queue.ReasonBlocked})
				c.submit(c.admitted("4-0"), outcome{kind: retryLater, delay: time.Minute})
				c.submit(c.admitted("5-0"), outcome{kind: parked})
				c.finish()
				<-c.ended
				for _, o := range []string{outcomeDelivered, outcomeSkipped, outcomeDead} {
					if got := c.counted(o); got != tt.count {
						t.Errorf("%s is counted %v times, want %v", o, got, tt.count)
					}
				}
				if n := c.scheduler.Len(); n != 0 || testutil.ToFloat64(c.metrics.inFlight) != 0 {
					t.Errorf("%d events stay in memory", n)
				}
				if c.signals.mismatch.Load() != (tt.lost > 0) {
					t.Error("after a lost reply, and only then, Redis and the memory are to be compared")
				}
			})
		})
	}
}

// Recording keeps the event, so Redis can say whose it is after a lost reply, too.
func TestRecorded(t *testing.T) {
	for name, tt := range map[string]struct {
		lost  int
		done  bool
		owned bool
	}{
		"recorded":                                  {0, true, true},
		"another process's":                         {0, false, false},
		"recorded twice":                            {1, true, true},
		"another process's after a lost reply":      {1, false, false},
		"another process's after nine lost replies": {9, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := startCommitter(t)
				for range tt.lost {
					c.redis.replies = append(c.redis.replies, errLost)
				}
				c.redis.done = func(queue.Step) bool { return tt.done }
				ev := c.admitted("1-0")
				if got := c.record(t.Context(), ev, outcome{kind: retryNow}); got != tt.owned {
					t.Errorf("owned: %v", got)
				}
				if c.scheduler.Find("1-0") != &ev.slot {
					t.Error("a recorded event is forgotten")
				}
				c.finish()
				<-c.ended
			})
		})
	}
}

// Nothing is committed twice, and nothing left out: what waits while a commit is repeated goes with
// the next.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startCommitter(t)
		c.redis.replies = []error{errLost, errLost}
		c.submit(c.admitted("1-0"), outcome{kind: delivered})
		synctest.Wait()
		for _, entry := range []string{"2-0", "3-0"} {
			c.submit(c.admitted(entry), outcome{kind: delivered})
		}
		c.finish()
		<-c.ended
		var entries [][]string
		for _, steps := range c.redis.steps {
			var batch []string
			for _, s := range steps {
				batch = append(batch, s.Event.Entry)
			}
			entries = append(entries, batch)
		}
		if len(entries) != 4 || len(entries[0]) != 1 || len(entries[1]) != 1 || len(entries[2]) != 1 || len(entries[3]) != 2 {
			t.Errorf("batches: %v", entries)
		}
		if n := c.counted(outcomeDelivered); n != 3 {
			t.Errorf("%v delivered", n)
		}
	})
}

// A fenced committer ends its session and leaves the rest to the process that recovered the work.
func TestFencedCommitterEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := startCommitter(t)
		c.redis.replies = []error{errLost, queue.ErrFenced}
		ev := c.admitted("1-0")
		c.submit(ev, outcome{kind: delivered})
		<-c.ended
		if !c.lease.fenced.Load() || c.counted(outcomeDelivered) != 0 || c.scheduler.Find("1-0") != &ev.slot {
			t.Error("a fenced committer goes on")
		}
	})
}
