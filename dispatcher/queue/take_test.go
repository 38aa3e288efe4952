package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// However the budget falls, a reply never holds more payload than it allows, and a payload above the limit comes without its bytes.
func TestBudget(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		e.q = New(e.store, Options{MaxPayload: 1000})
		for i := range 20 {
			e.publish("org", fmt.Sprint(i), fmt.Sprintf(`{"a":"%0*d"}`, i*60, 0))
		}
		p := e.process()
		total := 0
		for range 50 {
			b := must[Batch](t)(p.Dequeue(t.Context(), 256, 2500))
			bytes := 0
			for _, ev := range b.Events {
				bytes += len(ev.Payload)
				if (ev.Payload == nil) != (ev.Size > 1000) {
					t.Errorf("a payload of %d came with %d bytes", ev.Size, len(ev.Payload))
				}
			}
			if bytes > 2500 {
				t.Errorf("%d bytes came", bytes)
			}
			total += len(b.Events)
		}
		if total != 20 {
			t.Errorf("%d came", total)
		}
		if b := must[Batch](t)(p.Dequeue(t.Context(), 256, 999)); len(b.Events) != 0 || b.AtEnd {
			t.Errorf("took without a budget: %+v", b)
		}
	})
}

// Ill-formed entries are dead at once, by their stream id, and stop nothing.
func TestInvalidEvents(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		for _, flat := range [][]any{
			{"event", "e", "payload", "{}"},
			{"event", "e", "org_id", "", "payload", "{}"},
			{"event", "e", "org_id", "a b/c", "payload", "{}", "id", "x"},
			{"event", "e", "org_id", "org"},
			{"org_id", "org", "payload", "{}"},
			{"event", "e", "org_id", "org", "payload", "{}", "id", ""},
			{"event", "e", "org_id", "org", "payload", "{}", "id", "no/slash"},
			{"nothing", ""},
			{"event", strings.Repeat("x", 129), "org_id", "org", "payload", "{}"},
			{"event", "a\nb", "org_id", "org", "payload", "{}"},
		} {
			e.do(append([]any{"xadd", "tenzo:events", "*"}, flat...)...)
		}
		e.publish("org", "good", `{}`)
		p := e.process()
		b := e.take(p, 100)
		if len(b.Events) != 1 || b.Events[0].ID != "good" || len(b.Rejected) != 10 {
			t.Errorf("took %+v", b)
		}
		e.books(Books{Published: 11, Dead: 10, Waiting: 1})
		all := must[[]DeadLetter](t)(e.dead(""))
		for _, d := range all {
			if d.Reason != "invalid_event" || !streamID.MatchString(d.ID) {
				t.Errorf("%+v", d)
			}
		}
		if mine := must[[]DeadLetter](t)(e.dead("org")); len(all) != 10 || len(mine) != 6 {
			t.Errorf("%d dead, %d of org", len(all), len(mine))
		}
	})
}

// An id is taken while its event is unfinished and for a day after its delivery; a dead or skipped event frees it.
func TestDedupe(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		p := e.process()
		one := func() LeasedEvent {
			t.Helper()
			b := e.take(p, 10)
			if len(b.Events) != 1 {
				t.Fatalf("took %d", len(b.Events))
			}
			return b.Events[0]
		}
		duplicate := func() {
			t.Helper()
			e.publish("org", "x", `{}`)
			if b := e.take(p, 10); len(b.Events) != 0 || len(b.Rejected) != 1 {
				t.Errorf("took a duplicate: %+v", b)
			}
		}
		e.publish("org", "x", `{}`)
		ev := one()
		duplicate()
		e.commit(p, Step{Kind: StepDeadLetter, Event: &ev, Reason: "blocked"})
		e.publish("org", "x", `{}`)
		ev = one()
		e.commit(p, Step{Kind: StepSkip, Event: &ev})
		e.publish("org", "x", `{}`)
		ev = one()
		e.commit(p, Step{Kind: StepReschedule, Event: &ev})
		duplicate()
		b := must[Batch](t)(p.DequeueDue(t.Context(), 10, 1<<30))
		e.commit(p, Step{Kind: StepDeliver, Event: &b.Events[0]})
		duplicate()
		e.publish("other", "x", `{}`)
		one()
		if ttl := e.raw.PTTL(t.Context(), "{tenzo:events}:mark:org/x").Val(); ttl < 23*time.Hour || ttl > 24*time.Hour {
			t.Errorf("the id stays taken for %s", ttl)
		}
		e.books(Books{Published: 7, Delivered: 1, Skipped: 1, Dead: 1, Duplicate: 3, Waiting: 1})
		// A mark whose entry is gone from the stream binds nobody.
		e.publish("org", "y", `{}`)
		ev = one()
		e.do("xdel", "tenzo:events", ev.Entry)
		e.publish("org", "y", `{}`)
		one()
	})
}
