package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestTrim(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		p := e.process()
		for i := range 50 {
			e.makeDead(p, fmt.Sprint("org", i%3), fmt.Sprint("e", i), `{}`)
		}
		got := must[TrimResult](t)(New(e.store, Options{DeadLimit: 20}).Trim(t.Context()))
		if month := 30 * 24 * time.Hour; got.Expired != 0 || got.OverLimit != 30 || got.Next < month-time.Minute || got.Next > month {
			t.Errorf("%+v", got)
		}
		left := must[[]DeadLetter](t)(e.deadLetters(""))
		if len(left) != 20 || left[0].ID != "e49" || left[19].ID != "e30" {
			t.Errorf("left: %v", orgAndIDs(left))
		}
		for _, k := range []string{"dead-orgs", "dead-ids"} {
			if n := e.raw.ZCard(t.Context(), "{tenzo:events}:"+k).Val(); n != 20 {
				t.Errorf("%d in %s", n, k)
			}
		}
		// Dead letters past their retention.
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
		if left := must[[]DeadLetter](t)(e.deadLetters("")); len(left) != 0 {
			t.Errorf("left: %v", orgAndIDs(left))
		}
		e.checkBooks(Books{Published: 50, Dead: 50})
	})
}

// Where nothing is to be dropped, Trim reads one entry; otherwise the entries that it drops and the
// next.
func TestTrimReadsOneByOne(t *testing.T) {
	r := harness.StartRedis(t)
	e := newEnv(t, r.URL(), Options{})
	p := e.process()
	for i := range 5 {
		e.makeDead(p, "a", fmt.Sprint("e", i), `{}`)
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
