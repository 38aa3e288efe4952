package queue

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// A group that was set beyond the stream's end would never read anything again: it begins anew, and nothing is taken twice.
func TestGroupSetAhead(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	p := e.process()
	e.publish("org", "a", `{}`)
	e.publish("org", "b", `{}`)
	e.take(p, 1)
	e.do("xgroup", "setid", "tenzo:events", "dispatcher", "9999999999999-0")
	e.publish("org", "c", `{}`)
	if b := e.take(p, 10); len(b.Events) != 0 {
		t.Fatalf("took %d from beyond the end", len(b.Events))
	}
	if a := must[AuditResult](t)(e.q.Audit(t.Context())); !a.GroupRecreated || a.ForeignReads != 0 {
		t.Errorf("%+v", a)
	}
	if b := e.take(p, 10); len(b.Events) != 2 || b.Events[0].ID != "b" || b.Events[1].ID != "c" {
		t.Errorf("took %+v", b.Events)
	}
	if a := must[AuditResult](t)(e.q.Audit(t.Context())); a.GroupRecreated {
		t.Errorf("%+v", a)
	}
	e.books(Books{Published: 3, Waiting: 3})
}

// What a stranger read in the group is put where it belongs, and what is finished by that is told.
func TestAuditTellsWhatItFinishes(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		p := e.process()
		e.publish("org", "a", `{}`)
		e.take(p, 10)
		e.publish("org", "a", `{}`)
		e.publish("org", "b", `{}`)
		e.do("xadd", "tenzo:events", "*", "event", "e", "org_id", "org")
		err := e.raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "dispatcher", Consumer: "stranger", Streams: []string{"tenzo:events", ">"}}).Err()
		if err != nil {
			t.Fatal(err)
		}
		want := AuditResult{ForeignReads: 3, Rejected: []RejectedEvent{{Event: "note.finalized"}, {Event: "e", Dead: true}}}
		if d := cmp.Diff(want, must[AuditResult](t)(e.q.Audit(t.Context()))); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		e.stand(stand{Held: 1, Retry: 1})
		e.books(Books{Published: 4, Dead: 1, Duplicate: 1, Waiting: 2})
	})
}
