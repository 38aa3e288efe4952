package queue

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every step of a process whose work was recovered is refused.
func TestRecover(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		for i := range 5 {
			e.publish("org", fmt.Sprint(i), `{}`)
		}
		p, other := e.process(), e.process()
		b := e.dequeue(p, 10)
		if moved, _, err := other.Recover(t.Context(), p.Name()); moved != 0 || err != nil {
			t.Errorf("recovered %d from a live process, %v", moved, err)
		}
		e.expireLease(p)
		l := must[Lease](t)(other.Renew(t.Context()))
		if d := cmp.Diff([]string{p.Name()}, l.Expired); d != "" {
			t.Error(d)
		}
		if moved, crashed, err := other.Recover(t.Context(), p.Name()); moved != 5 || len(crashed) > 0 || err != nil {
			t.Errorf("recovered %d, dead letters %v, %v", moved, crashed, err)
		}
		if moved, _, err := other.Recover(t.Context(), p.Name()); moved != 0 || err != nil {
			t.Errorf("repeated: recovered %d, %v", moved, err)
		}
		e.checkPlaces(places{Retry: 5})
		e.checkConsumers(0)
		if _, err := p.Renew(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("the old holder renews: %v", err)
		}
		if _, err := p.Dequeue(t.Context(), 1, 1<<20); !errors.Is(err, ErrFenced) {
			t.Errorf("the old holder dequeues: %v", err)
		}
		if _, err := p.Commit(t.Context(), []Step{{Kind: StepDeliver, Event: &b.Events[0]}}); !errors.Is(err, ErrFenced) {
			t.Errorf("the old holder commits: %v", err)
		}
		if err := p.Release(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("the old holder releases: %v", err)
		}
		due := must[Batch](t)(other.DequeueDue(t.Context(), 10, 64<<20))
		if len(due.Events) != 5 || due.NextDue >= 0 {
			t.Errorf("%d due, next in %s", len(due.Events), due.NextDue)
		}
		e.checkBooks(Books{Published: 5, Waiting: 5})
	})
}

// When ten holders in a row died, the event may be the cause: it becomes a dead letter. A recorded
// attempt resets the count.
func TestRecoverGivesUpAfterTenCrashes(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		e.publish("org", "poison", `{"p":1}`)
		other := e.process()
		die := func(n int, record bool) (crashed []string) {
			for range n {
				p := e.process()
				b := e.dequeue(p, 10)
				if len(b.Events) == 0 {
					b = must[Batch](t)(p.DequeueDue(t.Context(), 10, 64<<20))
				}
				if len(b.Events) != 1 {
					t.Fatalf("dequeued %d", len(b.Events))
				}
				if record {
					ev := b.Events[0]
					ev.Attempts, ev.LastStatus = 2, 500
					e.commit(p, Step{Kind: StepRecordFailure, Event: &ev})
				}
				e.expireLease(p)
				_, g, err := other.Recover(t.Context(), p.Name())
				if err != nil {
					t.Fatal(err)
				}
				crashed = append(crashed, g...)
			}
			return crashed
		}
		if g := die(9, false); len(g) != 0 {
			t.Fatalf("dead after nine crashes: %v", g)
		}
		if g := die(1, true); len(g) != 0 {
			t.Fatal("dead although an attempt was recorded")
		}
		// The process that recorded the attempt died too, as the first of this row.
		if g := die(8, false); len(g) != 0 {
			t.Fatal("dead too early")
		}
		if g := die(1, false); len(g) != 1 || g[0] != "note.finalized" {
			t.Fatalf("not dead after ten crashes: %v", g)
		}
		e.checkBooks(Books{Published: 1, Dead: 1})
		e.checkPlaces(places{})
		d := must[[]DeadLetter](t)(e.deadLetters("org"))[0]
		if d.Reason != "crashed" || d.Attempts != 2 || d.LastStatus != 500 || string(d.Payload) != `{"p":1}` {
			t.Errorf("%+v", d)
		}
	})
}

// The events that a process releases are due at once, with their count of attempts.
func TestRelease(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		for i := range 600 {
			e.publish("org", fmt.Sprint(i), `{}`)
		}
		p, other := e.process(), e.process()
		for range 3 {
			e.dequeue(p, 256)
		}
		b := must[[]string](t)(p.Leased(t.Context()))
		if len(b) != 600 {
			t.Fatalf("holds %d", len(b))
		}
		if err := p.Requeue(t.Context(), b[:300]); err != nil {
			t.Fatal(err)
		}
		e.checkPlaces(places{Held: 300, Retry: 300})
		if err := p.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.checkPlaces(places{Retry: 600})
		if _, err := p.Renew(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("renewed after its release: %v", err)
		}
		e.checkConsumers(0)
		due := must[Batch](t)(other.DequeueDue(t.Context(), 1000, 64<<20))
		if len(due.Events) != maxStepEvents || due.NextDue != 0 {
			t.Errorf("%d due, next in %s", len(due.Events), due.NextDue)
		}
	})
}

// Without the schema marker nothing is dequeued and nothing is written.
func TestWithoutMarker(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		e.publish("org", "x", `{}`)
		p := e.process()
		e.dequeue(p, 10)
		e.do("del", "tenzo:schema")
		if _, err := p.Dequeue(t.Context(), 10, 1<<30); !errors.Is(err, ErrNotInitialized) {
			t.Errorf("dequeue: %v", err)
		}
		if _, err := p.DequeueDue(t.Context(), 10, 1<<30); !errors.Is(err, ErrNotInitialized) {
			t.Errorf("dequeue due: %v", err)
		}
		if l, err := p.Renew(t.Context()); err != nil || l.Initialized {
			t.Errorf("renew: %+v, %v", l, err)
		}
		if _, err := e.q.Publish(t.Context(), Event{Name: "note.finalized", OrgID: "org", Payload: []byte(`{}`)}); err == nil {
			t.Error("published")
		}
		e.do("flushall")
		if _, err := e.q.NewProcess().Register(t.Context()); !errors.Is(err, ErrNotInitialized) {
			t.Errorf("register: %v", err)
		}
		if _, err := e.q.Totals(t.Context()); err != nil {
			t.Error(err)
		}
		if n := e.raw.DBSize(t.Context()).Val(); n != 0 {
			t.Errorf("%d keys were written: %v", n, e.raw.Keys(t.Context(), "*").Val())
		}
	})
}
