package queue

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
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
	if !e.commit(p, Step{Kind: StepDeadLetter, Event: &ev, Reason: ReasonRetriesExhausted})[0] {
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
			var refusal *problem.Error
			if _, err := e.q.DeadLetters(t.Context(), "", 10, cursor); !errors.As(err, &refusal) || refusal.Code != "invalid_cursor" {
				t.Errorf("cursor %q: %v", cursor, err)
			}
		}
		for _, limit := range []int{-1, 1001} {
			var refusal *problem.Error
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

func TestTrim(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		p := e.process()
		for i := range 50 {
			e.bury(p, fmt.Sprint("org", i%3), fmt.Sprint("e", i), `{}`)
		}
		got := must[TrimResult](t)(New(e.store, Options{DeadLimit: 20}).Trim(t.Context()))
		if month := 30 * 24 * time.Hour; got.Expired != 0 || got.OverLimit != 30 || got.Next < month-time.Minute || got.Next > month {
			t.Errorf("%+v", got)
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
		// Those past their retention.
		q := New(e.store, Options{DeadRetention: 50 * time.Millisecond})
		total := 0
		harness.Eventually(t, 10*time.Second, func() error {
			got := must[TrimResult](t)(q.Trim(t.Context()))
			if total += got.Expired; got.OverLimit != 0 || got.Next <= 0 || got.Next > 51*time.Millisecond {
				t.Fatalf("%+v after %d", got, total)
			}
			if total != 20 {
				return fmt.Errorf("%d are past their retention", total)
			}
			return nil
		})
		if left := must[[]DeadLetter](t)(e.dead("")); len(left) != 0 {
			t.Errorf("left: %v", ids(left))
		}
		e.books(Books{Published: 50, Dead: 50})
	})
}

// What is older than 30 days goes with the next attempt.
func TestOldDeliveriesGo(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		old := time.Now().Add(-deliveriesLife).UnixMilli()
		for _, at := range []int64{1, old - 1000, old + 60_000} {
			e.do("xadd", "tenzo:deliveries:org", fmt.Sprint(at, "-0"), "id", fmt.Sprint(at))
		}
		if err := e.q.LogAttempt(t.Context(), "org", Delivery{ID: "new", Event: "e", At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if n := e.raw.XLen(t.Context(), "tenzo:deliveries:org").Val(); n != 2 {
			t.Errorf("%d entries are kept", n)
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
