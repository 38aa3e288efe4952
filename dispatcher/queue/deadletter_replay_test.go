package queue

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestReplay(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		p := e.process()
		e.activateWebhook("a")
		e.activateWebhook("b")
		e.do("hset", "tenzo:webhook:off", "url", "https://x.example/", "active", "0")
		for _, org := range []string{"a", "b", "off"} {
			e.makeDead(p, org, "both", `{}`)
			e.makeDead(p, org, org+"1", `{"n":1}`)
		}
		published := must[[]DeadLetter](t)(e.deadLetters("a"))[0].PublishedAt
		check := func(request Replay, want ReplayResult) {
			t.Helper()
			got := must[ReplayResult](t)(e.q.Replay(t.Context(), request))
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.SortSlices(func(a, b Refusal) bool { return a.ID < b.ID })); d != "" {
				t.Errorf("%+v (-want +got):\n%s", request, d)
			}
		}
		check(Replay{IDs: []string{"nothing", "a/b", "", "both"}}, ReplayResult{Refused: []Refusal{
			{ID: "", Reason: RefusedNotFound}, {ID: "a/b", Reason: RefusedNotFound}, {ID: "both", Reason: RefusedAmbiguous}, {ID: "nothing", Reason: RefusedNotFound},
		}})
		check(Replay{IDs: []string{"a1"}, Org: "b"}, ReplayResult{Refused: []Refusal{{ID: "a1", OrgID: "b", Reason: RefusedNotFound}}})
		check(Replay{IDs: []string{"a1", "a1"}}, ReplayResult{Replayed: 1})
		check(Replay{IDs: []string{"a1"}}, ReplayResult{Refused: []Refusal{{ID: "a1", Reason: RefusedNotFound}}})
		check(Replay{Org: "off"}, ReplayResult{Refused: []Refusal{{"both", "off", RefusedInactive}, {"off1", "off", RefusedInactive}}})
		e.checkBooks(Books{Published: 6, Replayed: 1, Dead: 6, Waiting: 1})
		b := e.dequeue(p, 10)
		ev := b.Events[0]
		if ev.ID != "a1" || ev.Attempts != 0 || string(ev.Payload) != `{"n":1}` || !ev.PublishedAt.Equal(published) {
			t.Errorf("replayed %+v", ev)
		}
		ev.Attempts = 4
		e.commit(p, Step{Kind: StepDeadLetter, Event: &ev, Reason: ReasonRetriesExhausted})
		// All, in several calls: those of `off` are refused once and stay.
		request, total := Replay{All: true, Limit: 2}, ReplayResult{}
		for range 10 {
			got := must[ReplayResult](t)(e.q.Replay(t.Context(), request))
			total.Replayed += got.Replayed
			total.Refused = append(total.Refused, got.Refused...)
			if got.NextCursor == "" {
				break
			}
			if got.Remaining == 0 {
				t.Error("a cursor, but nothing remains")
			}
			// An event that dies while the replay goes on is not replayed by it again.
			for _, ev := range e.dequeue(p, 10).Events {
				e.commit(p, Step{Kind: StepDeadLetter, Event: &ev, Reason: ReasonBlocked})
			}
			request.Cursor = got.NextCursor
		}
		if total.Replayed != 4 || len(total.Refused) != 2 {
			t.Errorf("replayed %+v", total)
		}
		if !e.mini {
			var refusal *problem.Error
			if _, err := e.q.Replay(t.Context(), Replay{All: true, Cursor: "nonsense"}); !errors.As(err, &refusal) {
				t.Errorf("a wrong cursor: %v", err)
			}
		}
	})
}

// A request that names nothing, or two things, moves nothing.
func TestReplayRefusesUnclearRequests(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		e.activateWebhook("a")
		e.makeDead(e.process(), "a", "x", `{}`)
		for _, c := range []struct {
			request     Replay
			code, field string
		}{
			{Replay{}, "nothing_named", ""},
			{Replay{Limit: 10}, "nothing_named", ""},
			{Replay{IDs: []string{}}, "nothing_named", "ids"},
			{Replay{IDs: []string{}, Org: "a"}, "nothing_named", "ids"},
			{Replay{IDs: []string{"x"}, All: true}, "contradiction", "all"},
			{Replay{Org: "a", All: true}, "contradiction", "all"},
			{Replay{Org: "a/"}, "invalid_org_id", "org"},
			{Replay{IDs: []string{"x"}, Org: "a b"}, "invalid_org_id", "org"},
			{Replay{IDs: slices.Repeat([]string{"x"}, 1001)}, "too_many_ids", "ids"},
		} {
			_, err := e.q.Replay(t.Context(), c.request)
			var refusal *problem.Error
			if !errors.As(err, &refusal) || refusal.Code != c.code || refusal.Field != c.field {
				t.Errorf("%+v: %#v", c.request, err)
			}
		}
		e.checkBooks(Books{Published: 1, Dead: 1})
	})
}

// An id names all its dead letters. One call moves as many as it may, the next call the rest.
func TestReplayManyDeadLettersOfOneID(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	p := e.process()
	e.activateWebhook("a")
	e.activateWebhook("b")
	const many = maxReplay + 30
	for range many {
		e.makeDead(p, "a", "x", `{}`)
	}
	e.makeDead(p, "b", "x", `{}`)
	e.makeDead(p, "b", "y", `{}`)
	got := must[ReplayResult](t)(e.q.Replay(t.Context(), Replay{IDs: []string{"x"}}))
	if len(got.Refused) != 1 || got.Refused[0].Reason != RefusedAmbiguous || got.Replayed+got.Remaining != 0 {
		t.Fatalf("%+v", got)
	}
	got = must[ReplayResult](t)(e.q.Replay(t.Context(), Replay{IDs: []string{"x"}, Org: "a"}))
	if len(got.Refused) != 0 || got.Replayed != maxReplay || got.Remaining != 30 {
		t.Errorf("%+v", got)
	}
	got = must[ReplayResult](t)(e.q.Replay(t.Context(), Replay{IDs: []string{"x"}, Org: "a"}))
	if len(got.Refused) != 0 || got.Replayed != 30 || got.Remaining != 0 {
		t.Errorf("%+v", got)
	}
	got = must[ReplayResult](t)(e.q.Replay(t.Context(), Replay{IDs: []string{"y", "x"}}))
	if len(got.Refused) != 0 || got.Replayed != 2 || got.Remaining != 0 {
		t.Errorf("%+v", got)
	}
}

// An event that cannot be added to the stream stays a dead letter.
func TestReplayIntoAFullStream(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	e.activateWebhook("a")
	e.makeDead(e.process(), "a", "x", `{}`)
	// No stream id is left.
	e.do("xsetid", "tenzo:events", "18446744073709551615-18446744073709551615")
	if got, err := e.q.Replay(t.Context(), Replay{All: true}); err == nil || got.Replayed != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if left := must[[]DeadLetter](t)(e.deadLetters("a")); len(left) != 1 {
		t.Errorf("left: %v", orgAndIDs(left))
	}
	e.checkBooks(Books{Published: 1, Dead: 1})
}

// The books remember what a replay adds, so a stream deleted right after it shows as lost.
func TestBooksOfStreamDeletedAfterReplay(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	p := e.process()
	e.activateWebhook("a")
	for i := range 3 {
		e.makeDead(p, "a", fmt.Sprint("e", i), `{}`)
	}
	if got := must[ReplayResult](t)(e.q.Replay(t.Context(), Replay{All: true})); got.Replayed != 3 {
		t.Errorf("%+v", got)
	}
	e.do("del", "tenzo:events")
	e.checkBooks(Books{Published: 3, Replayed: 3, Dead: 3, Difference: 3})
	for i := range 3 { // dead letters again, in the new stream
		e.makeDead(p, "a", fmt.Sprint("f", i), `{}`)
	}
	e.checkBooks(Books{Published: 6, Replayed: 3, Dead: 6, Difference: 3})
	e.do("del", "tenzo:events")
	if got := must[ReplayResult](t)(e.q.Replay(t.Context(), Replay{All: true})); got.Replayed != 3 {
		t.Errorf("%+v", got)
	}
	e.checkBooks(Books{Published: 6, Replayed: 6, Dead: 6, Waiting: 3, Difference: 3})
}

// Without the schema marker an absent webhook proves nothing: the replay fails, refuses no event
// for it and moves none.
func TestReplayWithoutMarker(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		p := e.process()
		e.makeDead(p, "a", "x", `{}`)
		e.do("del", "tenzo:schema")
		if _, err := e.q.Replay(t.Context(), Replay{All: true}); !errors.Is(err, store.ErrNotInitialized) {
			t.Errorf("%v", err)
		}
	})
}
