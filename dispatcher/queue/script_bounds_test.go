package queue

// This file bounds the time that steps on large events keep Redis busy: Redis authenticates
// requests too.

import (
	"fmt"
	"strings"
	"testing"
)

// large is a payload of which two end a step.
var large = `{"a":"` + strings.Repeat("x", maxDeadBytes/2) + `"}`

// deadRefs returns the dead letters of an organization as a replay finds them.
func (e *env) deadRefs(org string) []deadRef {
	e.t.Helper()
	found, _, _, err := e.q.findByOrg(e.t.Context(), Replay{Org: org, Limit: maxReplay})
	if err != nil {
		e.t.Fatal(err)
	}
	return found
}

func TestLargeDeadLettersEndAStep(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		p := e.process()
		for i := range 11 {
			e.makeDead(p, "a", fmt.Sprint("e", i), large)
		}
		if names := must[[]any](t)(e.q.eventIDs(t.Context(), e.deadRefs("a"))); len(names) != 2 || names[0] != "e0" || names[1] != "e1" {
			t.Errorf("one step reads the ids %v", names)
		}
		if moved := must[[]any](t)(e.q.replayBatch(t.Context(), e.deadRefs("a"))); len(moved) != 2 {
			t.Errorf("one step moves %v", moved)
		}
		e.checkBooks(Books{Published: 11, Replayed: 2, Dead: 11, Waiting: 2})
		trim := must[TrimResult](t)(New(e.store, Options{DeadLimit: 3}).Trim(t.Context()))
		if trim.OverLimit != 2 || trim.Next != 0 {
			t.Errorf("one step drops %+v", trim)
		}
		// A replay takes as many steps as it needs. At first all are refused, then all are moved.
		if got := must[ReplayResult](t)(e.q.Replay(t.Context(), Replay{Org: "a"})); got.Replayed != 0 || len(got.Refused) != 7 || got.Refused[6].ID != "e10" {
			t.Errorf("%+v", got)
		}
		e.activateWebhook("a")
		if got := must[ReplayResult](t)(e.q.Replay(t.Context(), Replay{Org: "a"})); got.Replayed != 7 || len(got.Refused) != 0 {
			t.Errorf("%+v", got)
		}
		e.checkBooks(Books{Published: 11, Replayed: 9, Dead: 11, Waiting: 9})
	})
}

// A dequeueing step ends at maxReplyBytes, whether it leases the events or parks them.
func TestLargeEventsEndADequeue(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		const fit = maxReplyBytes / (maxDeadBytes / 2)
		p := e.process()
		// hasParked makes org one that has parked events already.
		hasParked := func(org string) { e.do("zadd", "{tenzo:events}:parked", "1", org) }
		parked := func(org string) int { return int(e.raw.ZCard(t.Context(), "{tenzo:events}:parked:"+org).Val()) }
		for i := range 2 * fit {
			e.publish("a", fmt.Sprint("e", i), large)
		}
		var entries []string
		for range 10 {
			b := e.dequeue(p, 256)
			if len(b.Events) > fit {
				t.Errorf("one step leases %d", len(b.Events))
			}
			for _, ev := range b.Events {
				entries = append(entries, ev.Entry)
			}
		}
		if len(entries) != 2*fit {
			t.Fatalf("dequeued %d", len(entries))
		}
		if err := p.Requeue(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
		hasParked("a")
		b := must[Batch](t)(p.DequeueDue(t.Context(), 256, 64<<20))
		if n := parked("a"); len(b.Events) != 0 || n == 0 || n > fit+1 || b.NextDue != 0 {
			t.Errorf("one step parks %d of those due, the next is due in %s", n, b.NextDue)
		}
		for i := range 2 * fit {
			e.publish("b", fmt.Sprint("e", i), large)
		}
		hasParked("b")
		b = e.dequeue(p, 256)
		if n := parked("b"); len(b.Events) != 0 || n == 0 || n > fit || b.AtEnd {
			t.Errorf("one step parks %d, at end: %v", n, b.AtEnd)
		}
	})
}
