package queue

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// FuzzParse feeds foreign bytes to everything that parses what Redis returns: no panic, and nothing
// invented.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "1-0", "0-0", "-", "acme/0000000000001-00000000000000000000", "a/b/1-0", "//", "x", "NaN", "1e400", "-1",
		"99999999999999999999", "18446744073709551616", "2027-01-01T00:00:00.000Z", "\xff\x00/", "9223372036854775807",
	} {
		f.Add(s, "acme")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, field := range []string{a, b} {
			_ = parseDelivery(redis.XMessage{ID: a, Values: map[string]any{
				"id": field, "event": field, "attempt": field, "status": field, "error": field, "duration_ms": field, "at": field,
			}})
			_ = parseDeadLetter(redis.XMessage{ID: a, Values: map[string]any{
				"id": field, "event": field, "org_id": field, "payload": field, "attempts": field, "last_status": field, "published_at": field,
				"first_seen_at": field,
			}})
			for _, n := range []int{0, 1, 5, 6, 11, 12} {
				e := make([]any, n)
				for i := range e {
					e[i] = field
				}
				if events := parseEvents([]any{e, field, nil, int64(1)}); len(events) > 1 || len(events) == 1 && n != 6 && n != 11 {
					t.Fatalf("%d members became %+v", n, events)
				}
				_ = parseRejected([]any{e, field})
			}
			if n, from, err := parsePage(10, field); err == nil && (n != 10 || field != "" && from != "("+field) {
				t.Fatalf("cursor %q became %d, %q", field, n, from)
			}
			for _, d := range parseIDIndex([]string{field}) {
				if !validStreamID(d.entry) || d.id+"/"+d.org+"/"+d.entry != field {
					t.Fatalf("%q became %+v", field, d)
				}
			}
			if org, entry, ok := parseOrgIndexMember(field); ok && (!validStreamID(entry) || orgIndexMember(org, entry) != field) {
				t.Fatalf("%q became %q, %q", field, org, entry)
			}
		}
	})
}

// What foreign clients write into the indexes, the dead letters, the delivery log and the progress
// of events stops nothing, and the events that are ours are found and moved.
func TestForeignWrites(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	p := e.process()
	e.activateWebhook("acme")
	for i := range 3 {
		e.makeDead(p, "acme", fmt.Sprint("e", i), `{}`)
	}
	const slot = "{tenzo:events}:"
	for _, m := range []string{"", "x", "acme/", "acme/zzz", "acme/-", "acme/1-2-3", "acme/99999999999999999999-1", "acme/\xff", "zz/\x00"} {
		e.do("zadd", slot+"dead-orgs", "0", m)
	}
	for i := range 80 { // more than a page of nothing but these
		e.do("zadd", slot+"dead-orgs", "0", fmt.Sprint("acme/zz", i))
	}
	e.do("xadd", slot+"dead", "*", "nothing", "\xff")
	e.do("xadd", "tenzo:deliveries:acme", "*", "duration_ms", "99999999999999999999", "at", "yesterday", "attempt", "NaN")
	for _, limit := range []int{1, 2, 10} {
		var all []string
		for cursor := ""; ; {
			page := must[config.Page[DeadLetter]](t)(e.q.DeadLetters(t.Context(), "acme", limit, cursor))
			all = append(all, orgAndIDs(page.Items)...)
			if cursor = page.NextCursor; cursor == "" || len(all) > 10 {
				break
			}
		}
		if strings.Join(all, " ") != "acme/e2 acme/e1 acme/e0" {
			t.Errorf("pages of %d list %v", limit, all)
		}
	}
	if all := must[[]DeadLetter](t)(e.deadLetters("")); len(all) != 4 {
		t.Errorf("%d dead letters", len(all))
	}
	if d := must[config.Page[Delivery]](t)(e.q.Deliveries(t.Context(), "acme", 10, "")); len(d.Items) != 1 || !d.Items[0].At.IsZero() {
		t.Errorf("%+v", d)
	}
	if got := must[ReplayResult](t)(e.q.Replay(t.Context(), Replay{IDs: []string{"e1"}})); got.Replayed != 1 {
		t.Errorf("by id: %+v", got)
	}
	replayed := 0
	for request := (Replay{All: true, Limit: 5}); ; {
		got := must[ReplayResult](t)(e.q.Replay(t.Context(), request))
		replayed += got.Replayed
		if request.Cursor = got.NextCursor; request.Cursor == "" {
			break
		}
	}
	if replayed != 2 {
		t.Errorf("%d replayed", replayed)
	}
	b := e.dequeue(p, 10)
	if len(b.Events) != 3 {
		t.Fatalf("dequeued %+v", b)
	}

	// A time of first sight that is none, of an event that is due and of one whose holders died.
	for i := range b.Events {
		e.do("hset", slot+"progress:"+b.Events[i].Entry, "seen", "yesterday", "crashes", "9")
	}
	if err := p.Requeue(t.Context(), []string{b.Events[0].Entry}); err != nil {
		t.Fatal(err)
	}
	if due := must[Batch](t)(p.DequeueDue(t.Context(), 10, 64<<20)); len(due.Events) != 1 {
		t.Errorf("due %+v", due)
	}
	if err := p.Requeue(t.Context(), []string{b.Events[0].Entry}); err != nil {
		t.Fatal(err)
	}
	e.do("zadd", slot+"parked", "1", "acme") // others of acme are parked
	if due := must[Batch](t)(p.DequeueDue(t.Context(), 10, 64<<20)); len(due.Parked) != 1 {
		t.Errorf("due %+v", due)
	}
	e.checkPlaces(places{Held: 2, Parked: 1})
	other := e.process()
	e.expireLease(p)
	if moved, crashed, err := other.Recover(t.Context(), p.Name()); moved != 2 || len(crashed) != 2 || err != nil {
		t.Errorf("recovered %d, dead letters %v, %v", moved, crashed, err)
	}
	e.checkPlaces(places{Parked: 1})
	e.checkBooks(Books{Published: 3, Replayed: 3, Dead: 5, Waiting: 1})

	// A time of publication beyond any of ours: no budget counts it.
	e.do("xadd", "tenzo:events", "*", "event", "e", "org_id", "other", "payload", "{}", "replay", "1", "published_at", strings.Repeat("9", 1<<20))
	if b := e.dequeue(other, 10); len(b.Events) != 1 || b.Events[0].PublishedAt.IsZero() {
		t.Errorf("dequeued %+v", b)
	}
}
