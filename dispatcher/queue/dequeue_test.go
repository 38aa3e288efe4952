package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A reply never has more payload than the budget allows, and a payload above the limit comes
// without its bytes.
func TestBudget(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
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
			t.Errorf("dequeued without a budget: %+v", b)
		}
	})
}

// Ill-formed entries become dead letters at once, under their stream id, and block no other event.
func TestInvalidEvents(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
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
		b := e.dequeue(p, 100)
		if len(b.Events) != 1 || b.Events[0].ID != "good" || len(b.Rejected) != 10 {
			t.Errorf("dequeued %+v", b)
		}
		e.checkBooks(Books{Published: 11, Dead: 10, Waiting: 1})
		all := must[[]DeadLetter](t)(e.deadLetters(""))
		for _, d := range all {
			if d.Reason != "invalid_event" || !validStreamID(d.ID) {
				t.Errorf("%+v", d)
			}
		}
		if mine := must[[]DeadLetter](t)(e.deadLetters("org")); len(all) != 10 || len(mine) != 6 {
			t.Errorf("%d dead, %d of org", len(all), len(mine))
		}
	})
}

// An id is taken while its event is unfinished and for a day after its delivery. An event that
// becomes a dead letter or is skipped frees its id.
func TestDedupe(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		p := e.process()
		one := func() LeasedEvent {
			t.Helper()
			b := e.dequeue(p, 10)
			if len(b.Events) != 1 {
				t.Fatalf("dequeued %d", len(b.Events))
			}
			return b.Events[0]
		}
		duplicate := func() {
			t.Helper()
			e.publish("org", "x", `{}`)
			if b := e.dequeue(p, 10); len(b.Events) != 0 || len(b.Rejected) != 1 {
				t.Errorf("dequeued a duplicate: %+v", b)
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
		e.checkBooks(Books{Published: 7, Delivered: 1, Skipped: 1, Dead: 1, Duplicate: 3, Waiting: 1})
		// A mark whose entry has left the stream does not bind.
		e.publish("org", "y", `{}`)
		ev = one()
		e.do("xdel", "tenzo:events", ev.Entry)
		e.publish("org", "y", `{}`)
		one()
	})
}

// Unpark leases the oldest parked events of the given organizations. New events of an organization
// with parked ones are parked behind them.
func TestParking(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		for i := range 4 {
			e.publish("full", fmt.Sprint(i), `{}`)
		}
		p := e.process()
		b := e.dequeue(p, 10)
		var steps []Step
		for i := range b.Events {
			b.Events[i].FirstSeen = b.Events[i].FirstSeen.Add(time.Duration(i) * time.Second)
			steps = append(steps, Step{Kind: StepPark, Event: &b.Events[i]})
		}
		e.commit(p, steps...)
		e.publish("free", "a", `{}`)
		e.publish("full", "4", `{}`)
		b = e.dequeue(p, 10)
		if len(b.Events) != 1 || b.Events[0].OrgID != "free" || len(b.Parked) != 1 || b.Parked[0] != "full" {
			t.Errorf("dequeued %+v", b)
		}
		e.checkPlaces(places{Held: 1, Parked: 5})
		if orgs := must[[]string](t)(p.ParkedOrgs(t.Context(), 0, 10)); len(orgs) != 1 {
			t.Errorf("parked organizations: %v", orgs)
		}
		tot := must[Totals](t)(e.q.Totals(t.Context()))
		if tot.Parked != 5 || tot.ParkedOrgs != 1 || tot.Waiting != 6 {
			t.Errorf("%+v", tot)
		}
		b = must[Batch](t)(p.Unpark(t.Context(), []Capacity{{"none", 5}, {"full", 2}}, 64<<20))
		if len(b.Events) != 2 || b.Events[0].ID != "4" && b.Events[0].ID != "0" || !cmp.Equal(b.Remaining, []int{0, 3}) {
			t.Errorf("unparked %+v", b)
		}
		b = must[Batch](t)(p.Unpark(t.Context(), []Capacity{{"full", 10}}, 64<<20))
		if len(b.Events) != 3 || !cmp.Equal(b.Remaining, []int{0}) {
			t.Errorf("unparked %+v", b)
		}
		if orgs := must[[]string](t)(p.ParkedOrgs(t.Context(), 0, 10)); len(orgs) != 0 {
			t.Errorf("parked organizations: %v", orgs)
		}
		e.checkPlaces(places{Held: 6})
	})
}
