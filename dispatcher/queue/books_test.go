package queue

import (
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// The books absorb what was there before them, a stream that was created again, and a write-off.
// miniredis has no counter of added entries.
func TestBooks(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	for range 3 {
		e.do("xadd", "tenzo:events", "*", "event", "e", "org_id", "org", "payload", "{}")
	}
	// A removal before there were books.
	e.do("xdel", "tenzo:events", e.raw.XRange(t.Context(), "tenzo:events", "-", "+").Val()[0].ID)
	e.checkBooks(Books{Published: 2, Waiting: 2})
	e.checkBooks(Books{Published: 2, Waiting: 2})
	p := e.process()
	b := e.dequeue(p, 1)
	e.commit(p, Step{Kind: StepDeliver, Event: &b.Events[0]})
	e.checkBooks(Books{Published: 2, Delivered: 1, Waiting: 1})
	e.do("xtrim", "tenzo:events", "maxlen", "0")
	e.checkBooks(Books{Published: 2, Delivered: 1, Difference: 1})
	lost := func(want int64) {
		t.Helper()
		if got := must[Totals](t)(e.q.Totals(t.Context())).Lost; got != want {
			t.Errorf("lost %d, want %d", got, want)
		}
	}
	lost(1)
	lost(0) // reported once
	e.publish("org", "", `{}`)
	// An event that is published and deleted between two looks, a second apart, leaves no trace.
	lost(0)
	e.do("del", "tenzo:events")
	lost(1)
	e.publish("org", "", `{}`)
	e.publish("org", "", `{}`)
	lost(0)
	e.checkBooks(Books{Published: 5, Delivered: 1, Waiting: 2, Difference: 2})
	if off, after, err := e.q.AcceptDifference(t.Context()); off != 2 || err != nil || after != (Books{Published: 3, Delivered: 1, Waiting: 2}) {
		t.Errorf("%d, %+v, %v", off, after, err)
	}
	if off, _, err := e.q.AcceptDifference(t.Context()); off != 0 || err != nil {
		t.Errorf("%d, %v", off, err)
	}
	if b := e.dequeue(p, 10); len(b.Events) != 2 {
		t.Errorf("dequeued %d from the new stream", len(b.Events))
	}
	e.do("xtrim", "tenzo:events", "maxlen", "0")
	lost(2)
}

// A stream that was created again is recognized although no entry of the old one was ever removed,
// and although the new one is longer.
func TestBooksOfStreamRecreatedBeforeAnyRemoval(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	for range 3 {
		e.publish("org", "", `{}`)
	}
	e.checkBooks(Books{Published: 3, Waiting: 3})
	e.publish("org", "", `{}`)
	e.checkBooks(Books{Published: 4, Waiting: 4})
	e.do("del", "tenzo:events")
	for range 5 {
		e.publish("org", "", `{}`)
	}
	e.checkBooks(Books{Published: 9, Waiting: 5, Difference: 4})
	e.checkBooks(Books{Published: 9, Waiting: 5, Difference: 4})
	// A removal from the same stream does not make it another.
	p := e.process()
	b := e.dequeue(p, 10)
	for i := range b.Events {
		e.commit(p, Step{Kind: StepDeliver, Event: &b.Events[i]})
		e.checkBooks(Books{Published: 9, Delivered: int64(i + 1), Waiting: int64(4 - i), Difference: 4})
	}
	e.publish("org", "", `{}`)
	e.checkBooks(Books{Published: 10, Delivered: 5, Waiting: 1, Difference: 4})
}

// An entry that a foreign client removed while it was in flight is missing once, whatever its step
// was, also where the difference was written off in between.
func TestBooksOfEntriesRemovedInFlight(t *testing.T) {
	for name, accept := range map[string]bool{"left": false, "written off": true} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, harness.StartRedis(t).URL(), Options{})
			p := e.process()
			for range 3 {
				e.publish("org", "", `{}`)
			}
			b := e.dequeue(p, 10)
			e.do("xdel", "tenzo:events", b.Events[0].Entry, b.Events[1].Entry)
			want := Books{Published: 3, Delivered: 1, Difference: 2}
			if accept {
				want = Books{Published: 1, Delivered: 1}
				if off, _, err := e.q.AcceptDifference(t.Context()); off != 2 || err != nil {
					t.Errorf("%d, %v", off, err)
				}
			}
			e.commit(p, Step{Kind: StepDeliver, Event: &b.Events[0]}, Step{Kind: StepSkip, Event: &b.Events[1]}, Step{Kind: StepDeliver, Event: &b.Events[2]})
			e.checkPlaces(places{})
			e.checkBooks(want)
		})
	}
}
