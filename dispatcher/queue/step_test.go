package queue

import (
	"fmt"
	"testing"
	"time"
)

func TestPublishToDelivered(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		for i := range 40 {
			e.publish("org", fmt.Sprint("id-", i), `{"a":1}`)
		}
		p := e.process()
		b := e.dequeue(p, 256)
		if len(b.Events) != 40 || !b.AtEnd {
			t.Fatalf("dequeued %d, at end: %v", len(b.Events), b.AtEnd)
		}
		first := b.Events[0]
		if first.ID != "id-0" || string(first.Payload) != `{"a":1}` || first.OrgID != "org" || first.Event != "note.finalized" || !first.Explicit {
			t.Errorf("dequeued %+v", first)
		}
		if d := time.Since(first.PublishedAt); d < 0 && !e.mini || d > time.Minute {
			t.Errorf("published %s ago", d)
		}
		e.checkBooks(Books{Published: 40, Waiting: 40})
		var steps []Step
		for i := range b.Events {
			steps = append(steps, Step{Kind: StepDeliver, Event: &b.Events[i], Delivery: &Delivery{ID: b.Events[i].ID, Event: "note.finalized", Attempt: 1, Status: 200, At: time.Now()}})
		}
		for i, done := range e.commit(p, steps...) {
			if !done {
				t.Errorf("step %d did nothing", i)
			}
		}
		for _, done := range e.commit(p, steps...) {
			if done {
				t.Error("a repeated step did something")
			}
		}
		e.checkBooks(Books{Published: 40, Delivered: 40})
		e.publish("org", "id-3", `{}`)
		if b := e.dequeue(p, 256); len(b.Events) != 0 || len(b.Rejected) != 1 || b.Rejected[0].Dead {
			t.Errorf("a duplicate was dequeued: %+v", b)
		}
		e.checkBooks(Books{Published: 41, Delivered: 40, Duplicate: 1})
	})
}

// Redis may know some scripts and not others: after SCRIPT FLUSH, while two versions run. The steps
// that are made at the first try are reported as done.
func TestCommitWithSomeScriptsUnknown(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		for i := range 3 {
			e.publish("org", fmt.Sprint("id", i), `{}`)
		}
		p := e.process()
		b := e.dequeue(p, 10)
		e.do("script", "flush")
		e.do("script", "load", lib+"\n"+mustRead("deliver"))
		logged := &Delivery{ID: "id0", Event: "note.finalized", Attempt: 1, Status: 200, At: time.Now()}
		done := e.commit(p,
			Step{Kind: StepDeliver, Event: &b.Events[0], Delivery: logged},
			Step{Kind: StepPark, Event: &b.Events[1]},
			Step{Kind: StepSkip, Event: &b.Events[2]},
		)
		for i, ok := range done {
			if !ok {
				t.Errorf("step %d is reported as not done", i)
			}
		}
		e.checkBooks(Books{Published: 3, Delivered: 1, Skipped: 1, Waiting: 1})
		if n := e.raw.XLen(t.Context(), "tenzo:deliveries:org").Val(); n != 1 {
			t.Errorf("%d attempts in the delivery log", n)
		}
	})
}

// For every step out of held: what it does, that repeating it does nothing, and that only the
// holder can make it.
func TestStepsAreGuarded(t *testing.T) {
	failed := func(ev *LeasedEvent) *LeasedEvent {
		ev.Attempts, ev.LastStatus, ev.LastError = 1, 503, "answered 503"
		return ev
	}
	for _, c := range []struct {
		name   string
		step   func(ev *LeasedEvent) Step
		places places
		books  Books
		again  bool // whether repeating finds the event still held
	}{
		{"deliver", func(ev *LeasedEvent) Step { return Step{Kind: StepDeliver, Event: ev} }, places{}, Books{Published: 1, Delivered: 1}, false},
		{"skip", func(ev *LeasedEvent) Step { return Step{Kind: StepSkip, Event: ev} }, places{}, Books{Published: 1, Skipped: 1}, false},
		{"dead letter", func(ev *LeasedEvent) Step { return Step{Kind: StepDeadLetter, Event: ev, Reason: "blocked"} }, places{}, Books{Published: 1, Dead: 1}, false},
		{"record failure", func(ev *LeasedEvent) Step { return Step{Kind: StepRecordFailure, Event: failed(ev)} }, places{Held: 1}, Books{Published: 1, Waiting: 1}, true},
		{"reschedule", func(ev *LeasedEvent) Step { return Step{Kind: StepReschedule, Event: failed(ev), Delay: time.Hour} }, places{Retry: 1}, Books{Published: 1, Waiting: 1}, false},
		{"park", func(ev *LeasedEvent) Step { return Step{Kind: StepPark, Event: ev} }, places{Parked: 1}, Books{Published: 1, Waiting: 1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachRedis(t, func(t *testing.T, e *env) {
				e.publish("org", "x", `{}`)
				p, other := e.process(), e.process()
				b := e.dequeue(p, 10)
				ev := &b.Events[0]
				if e.commit(other, c.step(ev))[0] {
					t.Error("another process made the step")
				}
				e.checkPlaces(places{Held: 1})
				e.expireLease(p) // an expired lease alone takes nothing away
				if !e.commit(p, c.step(ev))[0] {
					t.Error("the step did nothing")
				}
				e.checkPlaces(c.places)
				e.checkBooks(c.books)
				if got := e.commit(p, c.step(ev))[0]; got != c.again {
					t.Errorf("repeated: %v", got)
				}
				e.checkPlaces(c.places)
				e.checkBooks(c.books)
			})
		})
	}
}
