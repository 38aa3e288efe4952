package queue

// This file is about what steps on large events cost the Redis that they run in, which authenticates requests besides.

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// large is a payload of which two make a step end.
var large = `{"a":"` + strings.Repeat("x", deadBytes/2) + `"}`

// letters are where the dead events of an organization stand, as a replay finds them.
func (e *env) letters(org string) []letter {
	e.t.Helper()
	found, _, _, err := e.q.findByOrg(e.t.Context(), Replay{Org: org, Limit: maxReplay})
	if err != nil {
		e.t.Fatal(err)
	}
	return found
}

func TestStepsOnLargeDeadEventsAreShort(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		p := e.process()
		for i := range 11 {
			e.bury(p, "a", fmt.Sprint("e", i), large)
		}
		if names := must[[]any](t)(e.q.nameOf(t.Context(), e.letters("a"))); len(names) != 2 || names[0] != "e0" || names[1] != "e1" {
			t.Errorf("one step names %v", names)
		}
		if moved := must[[]any](t)(e.q.move(t.Context(), e.letters("a"))); len(moved) != 2 {
			t.Errorf("one step moves %v", moved)
		}
		e.books(Books{Published: 11, Replayed: 2, Dead: 11, Waiting: 2})
		trim := must[TrimResult](t)(New(e.store, Options{DeadLimit: 3}).Trim(t.Context()))
		if trim.OverLimit != 2 || trim.Next != 0 {
			t.Errorf("one step drops %+v", trim)
		}
		// A whole replay takes as many steps as it needs: first it is refused, then all are moved.
		if got := must[ReplayResult](t)(e.q.Replay(t.Context(), Replay{Org: "a"})); got.Replayed != 0 || len(got.Refused) != 7 || got.Refused[6].ID != "e10" {
			t.Errorf("%+v", got)
		}
		e.activate("a")
		if got := must[ReplayResult](t)(e.q.Replay(t.Context(), Replay{Org: "a"})); got.Replayed != 7 || len(got.Refused) != 0 {
			t.Errorf("%+v", got)
		}
		e.books(Books{Published: 11, Replayed: 9, Dead: 11, Waiting: 9})
	})
}

// Where nothing is to go, one entry is read to know it; where something is, that and the next.
func TestTrimReadsWhatGoes(t *testing.T) {
	r := harness.StartRedis(t)
	e := newEnv(t, r.URL(), Options{})
	p := e.process()
	for i := range 5 {
		e.bury(p, "a", fmt.Sprint("e", i), `{}`)
	}
	for _, c := range []struct{ limit, want int }{{5, 1}, {3, 3}, {3, 1}} {
		got := 0
		for _, command := range r.Monitor(func() { must[TrimResult](t)(New(e.store, Options{DeadLimit: c.limit}).Trim(t.Context())) }) {
			if strings.Contains(command, `"XRANGE"`) {
				got++
				if !strings.HasSuffix(command, `"COUNT" "1"`) {
					t.Errorf("reads more than one entry: %s", command)
				}
			}
		}
		if got != c.want {
			t.Errorf("limit %d: %d entries read, want %d", c.limit, got, c.want)
		}
	}
}

// A step that takes ends at replyBytes, whether it hands the events over or parks them.
func TestStepsThatTakeLargeEventsAreShort(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		const fit = replyBytes / (deadBytes / 2)
		p := e.process()
		wait := func(org string) { e.do("zadd", "{tenzo:events}:parked", "1", org) } // others of org are parked already
		parked := func(org string) int { return int(e.raw.ZCard(t.Context(), "{tenzo:events}:parked:"+org).Val()) }
		for i := range 2 * fit {
			e.publish("a", fmt.Sprint("e", i), large)
		}
		var entries []string
		for range 10 {
			b := e.take(p, 256)
			if len(b.Events) > fit {
				t.Errorf("one step takes %d", len(b.Events))
			}
			for _, ev := range b.Events {
				entries = append(entries, ev.Entry)
			}
		}
		if len(entries) != 2*fit {
			t.Fatalf("took %d", len(entries))
		}
		if err := p.Requeue(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
		wait("a")
		b := must[Batch](t)(p.DequeueDue(t.Context(), 256, 64<<20))
		if n := parked("a"); len(b.Events) != 0 || n == 0 || n > fit+1 || b.NextDue != 0 {
			t.Errorf("one step parks %d of those due, the next is due in %s", n, b.NextDue)
		}
		for i := range 2 * fit {
			e.publish("b", fmt.Sprint("e", i), large)
		}
		wait("b")
		b = e.take(p, 256)
		if n := parked("b"); len(b.Events) != 0 || n == 0 || n > fit || b.AtEnd {
			t.Errorf("one step parks %d, the end %v", n, b.AtEnd)
		}
	})
}
