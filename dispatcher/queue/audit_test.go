package queue

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// A group that was set beyond the stream's end would never read anything again. The audit creates
// it again, and no event is dequeued twice.
func TestAuditRecreatesGroupSetAhead(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	p := e.process()
	e.publish("org", "a", `{}`)
	e.publish("org", "b", `{}`)
	e.dequeue(p, 1)
	e.do("xgroup", "setid", "tenzo:events", "dispatcher", "9999999999999-0")
	e.publish("org", "c", `{}`)
	if b := e.dequeue(p, 10); len(b.Events) != 0 {
		t.Fatalf("dequeued %d from beyond the end", len(b.Events))
	}
	if a := must[AuditResult](t)(e.q.Audit(t.Context())); !a.GroupRecreated || a.ForeignReads != 0 {
		t.Errorf("%+v", a)
	}
	if b := e.dequeue(p, 10); len(b.Events) != 2 || b.Events[0].ID != "b" || b.Events[1].ID != "c" {
		t.Errorf("dequeued %+v", b.Events)
	}
	if a := must[AuditResult](t)(e.q.Audit(t.Context())); a.GroupRecreated {
		t.Errorf("%+v", a)
	}
	e.checkBooks(Books{Published: 3, Waiting: 3})
}

// Entries that a foreign client read in the group become due, and those that are finished by that
// are reported.
func TestAuditReportsWhatItFinishes(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		p := e.process()
		e.publish("org", "a", `{}`)
		e.dequeue(p, 10)
		e.publish("org", "a", `{}`)
		e.publish("org", "b", `{}`)
		e.do("xadd", "tenzo:events", "*", "event", "e", "org_id", "org")
		err := e.raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "dispatcher", Consumer: "foreign", Streams: []string{"tenzo:events", ">"}}).Err()
		if err != nil {
			t.Fatal(err)
		}
		want := AuditResult{ForeignReads: 3, Rejected: []RejectedEvent{{Event: "note.finalized"}, {Event: "e", Dead: true}}}
		if d := cmp.Diff(want, must[AuditResult](t)(e.q.Audit(t.Context()))); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		e.checkPlaces(places{Held: 1, Retry: 1})
		e.checkBooks(Books{Published: 4, Dead: 1, Duplicate: 1, Waiting: 2})
	})
}
