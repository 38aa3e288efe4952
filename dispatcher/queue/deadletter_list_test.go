package queue

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// parseOrgIndexMember reverses orgIndexMember.
func TestOrgIndexMember(t *testing.T) {
	for _, id := range []string{"0-0", "1-0", "1700000000000-0", "1700000000000-18446744073709551615"} {
		if org, back, ok := parseOrgIndexMember(orgIndexMember("a.b", id)); org != "a.b" || back != id || !ok {
			t.Errorf("%s became %s, %s", id, org, back)
		}
	}
}

func TestDeadLetterPages(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		p := e.process()
		var want []string
		for i := range 7 {
			e.makeDead(p, []string{"a", "a.b", "b"}[i%3], fmt.Sprint("e", i), `{}`)
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
				all = append(all, orgAndIDs(page.Items)...)
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
			t.Errorf("an organization without dead letters has %v", got)
		}
		page := must[config.Page[DeadLetter]](t)(e.q.DeadLetters(t.Context(), "b", 10, ""))
		d := page.Items[1]
		if d.ID != "e2" || d.Event != "note.finalized" || d.Reason != ReasonRetriesExhausted || d.Attempts != 4 || d.LastStatus != 500 ||
			d.LastError != "answered 500" || d.PublishedAt.IsZero() || d.FirstSeenAt.IsZero() || d.DeadAt.IsZero() {
			t.Errorf("%+v", d)
		}
		for _, cursor := range []string{"x", "1", "0-0", "0-00", "1-2-3", "(1-2", "-", "99999999999999999999-1", "1-18446744073709551616", "1-99999999999999999999"} {
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

// A page of large payloads ends early; the next page has the rest.
func TestDeadLetterPageBytes(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	p := e.process()
	big := `{"a":"` + strings.Repeat("x", 1<<20-10) + `"}`
	for i := range 12 {
		e.makeDead(p, "a", fmt.Sprint("e", i), big)
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
