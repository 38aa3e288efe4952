package queue

import (
	"errors"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// The books absorb what was there before them, a stream made anew, and a write-off; miniredis keeps no such counter.
func TestBooks(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	for range 3 {
		e.do("xadd", "tenzo:events", "*", "event", "e", "org_id", "org", "payload", "{}")
	}
	e.do("xdel", "tenzo:events", e.raw.XRange(t.Context(), "tenzo:events", "-", "+").Val()[0].ID) // before there were books
	e.books(Books{Published: 2, Waiting: 2})
	e.books(Books{Published: 2, Waiting: 2})
	p := e.process()
	b := e.take(p, 1)
	e.commit(p, Step{Kind: StepDeliver, Event: &b.Events[0]})
	e.books(Books{Published: 2, Delivered: 1, Waiting: 1})
	e.do("xtrim", "tenzo:events", "maxlen", "0")
	e.books(Books{Published: 2, Delivered: 1, Difference: 1})
	lost := func(want int64) {
		t.Helper()
		if got := must[Totals](t)(e.q.Totals(t.Context())).Lost; got != want {
			t.Errorf("lost %d, want %d", got, want)
		}
	}
	lost(1)
	lost(0) // told once
	e.publish("org", "", `{}`)
	lost(0) // what is published and deleted between two looks, a second apart, nobody can know of
	e.do("del", "tenzo:events")
	lost(1)
	e.publish("org", "", `{}`)
	e.publish("org", "", `{}`)
	lost(0)
	e.books(Books{Published: 5, Delivered: 1, Waiting: 2, Difference: 2})
	if off, after, err := e.q.AcceptDifference(t.Context()); off != 2 || err != nil || after != (Books{Published: 3, Delivered: 1, Waiting: 2}) {
		t.Errorf("%d, %+v, %v", off, after, err)
	}
	if off, _, err := e.q.AcceptDifference(t.Context()); off != 0 || err != nil {
		t.Errorf("%d, %v", off, err)
	}
	if b := e.take(p, 10); len(b.Events) != 2 {
		t.Errorf("took %d from the new stream", len(b.Events))
	}
	e.do("xtrim", "tenzo:events", "maxlen", "0")
	lost(2)
}

// A stream that is made anew is known as such although nothing was ever removed from it, and the new one is longer than it was.
func TestStreamAnewBeforeAnythingWasRemoved(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	for range 3 {
		e.publish("org", "", `{}`)
	}
	e.books(Books{Published: 3, Waiting: 3})
	e.publish("org", "", `{}`)
	e.books(Books{Published: 4, Waiting: 4})
	e.do("del", "tenzo:events")
	for range 5 {
		e.publish("org", "", `{}`)
	}
	e.books(Books{Published: 9, Waiting: 5, Difference: 4})
	e.books(Books{Published: 9, Waiting: 5, Difference: 4})
	// What was removed from the same stream does not make it another.
	p := e.process()
	b := e.take(p, 10)
	for i := range b.Events {
		e.commit(p, Step{Kind: StepDeliver, Event: &b.Events[i]})
		e.books(Books{Published: 9, Delivered: int64(i + 1), Waiting: int64(4 - i), Difference: 4})
	}
	e.publish("org", "", `{}`)
	e.books(Books{Published: 10, Delivered: 5, Waiting: 1, Difference: 4})
}

// What somebody removed while it was in flight is missing, once, whatever became of it; also where that was written off meanwhile.
func TestRemovedInFlight(t *testing.T) {
	for name, accept := range map[string]bool{"left": false, "written off": true} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, harness.StartRedis(t).URL(), Options{})
			p := e.process()
			for range 3 {
				e.publish("org", "", `{}`)
			}
			b := e.take(p, 10)
			e.do("xdel", "tenzo:events", b.Events[0].Entry, b.Events[1].Entry)
			want := Books{Published: 3, Delivered: 1, Difference: 2}
			if accept {
				want = Books{Published: 1, Delivered: 1}
				if off, _, err := e.q.AcceptDifference(t.Context()); off != 2 || err != nil {
					t.Errorf("%d, %v", off, err)
				}
			}
			e.commit(p, Step{Kind: StepDeliver, Event: &b.Events[0]}, Step{Kind: StepSkip, Event: &b.Events[1]}, Step{Kind: StepDeliver, Event: &b.Events[2]})
			e.stand(stand{})
			e.books(want)
		})
	}
}

func TestPublishRefuses(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	good := Event{Name: "note.finalized", OrgID: "org", ID: "id", Payload: []byte(` {"a":1} `)}
	for field, change := range map[string]func(*Event){
		"event":   func(ev *Event) { ev.Name = "" },
		"org":     func(ev *Event) { ev.OrgID = "a/b" },
		"id":      func(ev *Event) { ev.ID = "a b" },
		"payload": func(ev *Event) { ev.Payload = []byte(`[1]`) },
		"event ":  func(ev *Event) { ev.Name = "note\nfinalized" },
		"event  ": func(ev *Event) { ev.Name = strings.Repeat("x", 129) },
	} {
		ev := good
		change(&ev)
		var refusal *problem.Error
		if _, err := e.q.Publish(t.Context(), ev); !errors.As(err, &refusal) || refusal.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if id := must[string](t)(e.q.Publish(t.Context(), good)); id != "id" {
		t.Error(id)
	}
	good.ID = ""
	if id := must[string](t)(e.q.Publish(t.Context(), good)); !streamID.MatchString(id) {
		t.Error(id)
	}
}

// A place in the index by organization leads back to its entry.
func TestOrgPlaces(t *testing.T) {
	for _, id := range []string{"0-0", "1-0", "1700000000000-0", "1700000000000-18446744073709551615"} {
		if org, back := splitPlace(orgPlace("a.b", id)); org != "a.b" || back != id {
			t.Errorf("%s became %s, %s", id, org, back)
		}
	}
}
