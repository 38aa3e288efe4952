package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// bury publishes an event and gives it up.
func (e *env) bury(p *Process, org, id, payload string) {
	e.t.Helper()
	e.publish(org, id, payload)
	b := e.take(p, 10)
	if len(b.Events) != 1 {
		e.t.Fatalf("took %d", len(b.Events))
	}
	ev := b.Events[0]
	ev.Attempts, ev.LastStatus, ev.LastError = 4, 500, "answered 500"
	if !e.commit(p, Step{Kind: Bury, Event: &ev, Reason: ReasonRetriesExhausted})[0] {
		e.t.Fatal("not buried")
	}
}

func (e *env) activate(org string) {
	e.do("hset", "tenzo:webhook:"+org, "url", "https://x.example/", "active", "1")
}

func ids(letters []DeadLetter) (out []string) {
	for _, d := range letters {
		out = append(out, d.OrgID+"/"+d.ID)
	}
	return out
}

func TestDeadLettersByPage(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		p := e.process()
		var want []string
		for i := range 7 {
			e.bury(p, []string{"a", "a.b", "b"}[i%3], fmt.Sprint("e", i), `{}`)
		}
		for i := 6; i >= 0; i-- {
			want = append(want, []string{"a", "a.b", "b"}[i%3]+fmt.Sprint("/e", i))
		}
		read := func(org string, limit int) (all []string) {
			cursor := ""
			for range 20 {
				page, err := e.q.DeadLetters(t.Context(), org, limit, cursor)
				if err != nil {
					t.Fatal(err)
				}
				if len(page.Items) > limit {
					t.Errorf("a page of %d holds %d", limit, len(page.Items))
				}
				all = append(all, ids(page.Items)...)
				if cursor = page.NextCursor; cursor == "" {
					return all
				}
			}
			t.Error("no end")
			return nil
		}
		for limit := 1; limit < 9; limit++ {
			if d := cmp.Diff(want, read("", limit)); d != "" {
				t.Errorf("limit %d:\n%s", limit, d)
			}
			if d := cmp.Diff([]string{"a/e6", "a/e3", "a/e0"}, read("a", limit)); d != "" {
				t.Errorf("limit %d, one organization:\n%s", limit, d)
			}
		}
		if got := read("nobody", 5); got != nil {
			t.Errorf("nobody has %v", got)
		}
		page := must[config.Page[DeadLetter]](t)(e.q.DeadLetters(t.Context(), "b", 10, ""))
		d := page.Items[1]
		if d.ID != "e2" || d.Event != "note.finalized" || d.Reason != ReasonRetriesExhausted || d.Attempts != 4 || d.LastStatus != 500 ||
			d.LastError != "answered 500" || d.PublishedAt.IsZero() || d.FirstSeenAt.IsZero() || d.DeadAt.IsZero() {
			t.Errorf("%+v", d)
		}
		for _, cursor := range []string{"x", "1", "0-0", "0-00", "1-2-3", "(1-2", "-", "99999999999999999999-1"} {
			var refusal *config.Error
			if _, err := e.q.DeadLetters(t.Context(), "", 10, cursor); !errors.As(err, &refusal) || refusal.Code != "invalid_cursor" {
				t.Errorf("cursor %q: %v", cursor, err)
			}
		}
		for _, limit := range []int{-1, 1001} {
			var refusal *config.Error
			if _, err := e.q.DeadLetters(t.Context(), "", limit, ""); !errors.As(err, &refusal) || refusal.Code != "invalid_limit" {
				t.Errorf("limit %d: %v", limit, err)
			}
		}
	})
}

// A page of large payloads ends early and goes on with the next.
func TestDeadLettersAreLarge(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	p := e.process()
	big := `{"a":"` + strings.Repeat("x", 1<<20-10) + `"}`
	for i := range 12 {
		e.bury(p, "a", fmt.Sprint("e", i), big)
	}
	first := must[config.Page[DeadLetter]](t)(e.q.DeadLetters(t.Context(), "a", 100, ""))
	if len(first.Items) >= 12 || first.NextCursor == "" {
		t.Fatalf("%d on a page", len(first.Items))
	}
	second := must[config.Page[DeadLetter]](t)(e.q.DeadLetters(t.Context(), "a", 100, first.NextCursor))
	if len(first.Items)+len(second.Items) != 12 || second.NextCursor != "" {
		t.Errorf("%d and %d", len(first.Items), len(second.Items))
	}
}

func TestReplay(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		p := e.process()
		e.activate("a")
		e.activate("b")
		e.do("hset", "tenzo:webhook:off", "url", "https://x.example/", "active", "0")
		for _, org := range []string{"a", "b", "off"} {
			e.bury(p, org, "both", `{}`)
			e.bury(p, org, org+"1", `{"n":1}`)
		}
		published := must[[]DeadLetter](t)(e.dead("a"))[0].PublishedAt
		check := func(wish Replay, want Replayed) {
			t.Helper()
			got := must[Replayed](t)(e.q.Replay(t.Context(), wish))
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.SortSlices(func(a, b Refused) bool { return a.ID < b.ID })); d != "" {
				t.Errorf("%+v (-want +got):\n%s", wish, d)
			}
		}
		check(Replay{IDs: []string{"nothing", "a/b", "", "both"}}, Replayed{Refused: []Refused{
			{ID: "", Reason: RefusedNotFound}, {ID: "a/b", Reason: RefusedNotFound}, {ID: "both", Reason: RefusedAmbiguous}, {ID: "nothing", Reason: RefusedNotFound},
		}})
		check(Replay{IDs: []string{"a1"}, Org: "b"}, Replayed{Refused: []Refused{{ID: "a1", OrgID: "b", Reason: RefusedNotFound}}})
		check(Replay{IDs: []string{"a1", "a1"}}, Replayed{Replayed: 1})
		check(Replay{IDs: []string{"a1"}}, Replayed{Refused: []Refused{{ID: "a1", Reason: RefusedNotFound}}})
		check(Replay{Org: "off"}, Replayed{Refused: []Refused{{"both", "off", RefusedInactive}, {"off1", "off", RefusedInactive}}})
		e.books(Books{Published: 6, Replayed: 1, Dead: 6, Waiting: 1})
		b := e.take(p, 10)
		ev := b.Events[0]
		if ev.ID != "a1" || ev.Attempts != 0 || string(ev.Payload) != `{"n":1}` || !ev.PublishedAt.Equal(published) {
			t.Errorf("replayed %+v", ev)
		}
		ev.Attempts = 4
		e.commit(p, Step{Kind: Bury, Event: &ev, Reason: ReasonRetriesExhausted})
		// Everything, in steps: those of `off` are met once and left.
		wish, total := Replay{All: true, Limit: 2}, Replayed{}
		for range 10 {
			got := must[Replayed](t)(e.q.Replay(t.Context(), wish))
			total.Replayed += got.Replayed
			total.Refused = append(total.Refused, got.Refused...)
			if got.NextCursor == "" {
				break
			}
			if got.Remaining == 0 {
				t.Error("a cursor, but nothing remains")
			}
			// What dies while a replay goes on is not replayed by it again.
			for _, ev := range e.take(p, 10).Events {
				e.commit(p, Step{Kind: Bury, Event: &ev, Reason: ReasonBlocked})
			}
			wish.Cursor = got.NextCursor
		}
		if total.Replayed != 4 || len(total.Refused) != 2 {
			t.Errorf("replayed %+v", total)
		}
		if !e.mini {
			var refusal *config.Error
			if _, err := e.q.Replay(t.Context(), Replay{All: true, Cursor: "nonsense"}); !errors.As(err, &refusal) {
				t.Errorf("a wrong cursor: %v", err)
			}
		}
	})
}

// A wish that names nothing, or two things, moves nothing.
func TestReplayNeedsAName(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		e.activate("a")
		e.bury(e.process(), "a", "x", `{}`)
		for _, c := range []struct {
			wish        Replay
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
			_, err := e.q.Replay(t.Context(), c.wish)
			var refusal *config.Error
			if !errors.As(err, &refusal) || refusal.Code != c.code || refusal.Field != c.field {
				t.Errorf("%+v: %#v", c.wish, err)
			}
		}
		e.books(Books{Published: 1, Dead: 1})
	})
}

// Without its marker an absent webhook says nothing, so that nothing is refused for it; and nothing is replayed.
func TestReplayUnmarked(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		p := e.process()
		e.bury(p, "a", "x", `{}`)
		e.do("del", "tenzo:schema")
		if _, err := e.q.Replay(t.Context(), Replay{All: true}); !errors.Is(err, config.ErrStoreNotInitialized) {
			t.Errorf("%v", err)
		}
	})
}

func TestTrim(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		p := e.process()
		for i := range 50 {
			e.bury(p, fmt.Sprint("org", i%3), fmt.Sprint("e", i), `{}`)
		}
		q := New(e.store, Options{DeadLimit: 20})
		expired, dropped, err := q.Trim(t.Context(), 10)
		if expired != 0 || dropped != 10 || err != nil {
			t.Errorf("%d, %d, %v", expired, dropped, err)
		}
		expired, dropped, err = q.Trim(t.Context(), 100)
		if expired != 0 || dropped != 20 || err != nil {
			t.Errorf("%d, %d, %v", expired, dropped, err)
		}
		left := must[[]DeadLetter](t)(e.dead(""))
		if len(left) != 20 || left[0].ID != "e49" || left[19].ID != "e30" {
			t.Errorf("left: %v", ids(left))
		}
		for _, k := range []string{"dead-orgs", "dead-ids"} {
			if n := e.raw.ZCard(t.Context(), "{tenzo:events}:"+k).Val(); n != 20 {
				t.Errorf("%d in %s", n, k)
			}
		}
		q = New(e.store, Options{DeadRetention: time.Nanosecond})
		time.Sleep(3 * time.Millisecond) // so that all are past it
		if expired, dropped, err = q.Trim(t.Context(), 100); expired != 20 || dropped != 0 || err != nil {
			t.Errorf("%d, %d, %v", expired, dropped, err)
		}
	})
}

func TestDeliveries(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		at := time.Now().UTC().Truncate(time.Millisecond)
		for i := range 1010 {
			d := Delivery{ID: fmt.Sprint(i), Event: "note.finalized", Attempt: 1, Status: 200, Duration: 5 * time.Millisecond, At: at}
			if i == 1009 {
				d.Status, d.Error = 0, "no answer within 30s"
			}
			if err := e.q.LogAttempt(t.Context(), "org", d); err != nil {
				t.Fatal(err)
			}
		}
		var all []Delivery
		cursor := ""
		for range 20 {
			p := must[config.Page[Delivery]](t)(e.q.Deliveries(t.Context(), "org", 300, cursor))
			all = append(all, p.Items...)
			if cursor = p.NextCursor; cursor == "" {
				break
			}
		}
		if len(all) != 1000 || all[999].ID != "10" {
			t.Errorf("%d attempts", len(all))
		}
		want := Delivery{ID: "1009", Event: "note.finalized", Attempt: 1, Error: "no answer within 30s", Duration: 5 * time.Millisecond, At: at}
		if d := cmp.Diff(want, all[0]); d != "" {
			t.Error(d)
		}
		if ttl := e.raw.PTTL(t.Context(), "tenzo:deliveries:org").Val(); ttl < 29*24*time.Hour {
			t.Errorf("kept for %s", ttl)
		}
	})
}
