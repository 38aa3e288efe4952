package command

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

type booksJSON struct {
	Published  int64  `json:"published"`
	Replayed   int64  `json:"replayed"`
	Delivered  int64  `json:"delivered"`
	Skipped    int64  `json:"skipped"`
	Dead       int64  `json:"dead"`
	Duplicate  int64  `json:"duplicate"`
	Waiting    int64  `json:"waiting"`
	Difference int64  `json:"difference"`
	WrittenOff *int64 `json:"written_off"`
}

func books(t *testing.T) booksJSON {
	t.Helper()
	return decode[booksJSON](t, must(t, "", "events", "status", "--json"))
}

func TestEventsPublishAndStatus(t *testing.T) {
	r := startStore(t)
	payload := `{"call_id":"c1"}`
	publish := []string{"events", "publish", "--org", "acme", "--event", "interview.results"}
	if out := must(t, payload, append(publish, "--id", "c1", "-")...); !strings.Contains(out, "its Webhook-Id is c1") {
		t.Errorf("publishing said %q", out)
	}
	out := decode[map[string]any](t, must(t, "", append(publish, "--json", write(t, payload))...))
	if out["id"] == "" || out["org_id"] != "acme" || out["event"] != "interview.results" {
		t.Errorf("publishing said %v", out)
	}
	entries, err := r.Client(t).XRange(t.Context(), "tenzo:events", "-", "+").Result()
	if err != nil || len(entries) != 2 || entries[0].Values["payload"] != payload || entries[0].Values["id"] != "c1" {
		t.Errorf("the stream holds %v, %v", entries, err)
	}
	if diff := cmp.Diff(booksJSON{Published: 2, Waiting: 2}, books(t)); diff != "" {
		t.Error(diff)
	}
	if out := must(t, "", "events", "status"); !strings.Contains(out, "difference") {
		t.Errorf("the books are %q", out)
	}

	// A deleted event shows as the difference until it is written off.
	if err := r.Client(t).XDel(t.Context(), "tenzo:events", entries[1].ID).Err(); err != nil {
		t.Fatal(err)
	}
	refused(t, "1 events are missing", "events", "status")
	if got := run(t, "", "events", "status", "--json"); got.err == nil || decode[booksJSON](t, got.stdout).Difference != 1 {
		t.Errorf("the books say %v %q", got.err, got.stdout)
	}
	if got := decode[booksJSON](t, must(t, "", "events", "status", "--accept", "--json")); got.Difference != 0 || got.WrittenOff == nil || *got.WrittenOff != 1 {
		t.Errorf("after accepting the books are %+v", got)
	}
	if got := books(t); got.Difference != 0 {
		t.Errorf("afterwards the books are %+v", got)
	}
}

// Publishing warns about an event that may not be delivered, and publishes it.
func TestEventsPublishWarnings(t *testing.T) {
	startStore(t)
	const undocumented = "Warning: note.finalised is not a documented event; it is delivered only where pass_event names it.\n"
	const inactive = "Warning: acme has no active webhook; the event will be skipped.\n"
	publish := func(event, stderr string, codes ...string) {
		t.Helper()
		args := []string{"events", "publish", "--org", "acme", "--event", event, "-"}
		if got := run(t, `{}`, args...); got.err != nil || got.stderr != stderr || !strings.HasPrefix(got.stdout, "Published "+event+" for acme") {
			t.Errorf("%s: %v, %q, %q", event, got.err, got.stdout, got.stderr)
		}
		got := run(t, `{}`, append(args, "--json")...)
		list := decode[struct {
			Warnings []struct{ Code, Detail string }
		}](t, got.stdout)
		if got.err != nil || got.stderr != "" || list.Warnings == nil || len(list.Warnings) != len(codes) {
			t.Fatalf("%s: %v, %q, %q", event, got.err, got.stdout, got.stderr)
		}
		for i, code := range codes {
			if w := list.Warnings[i]; w.Code != code || !strings.Contains(stderr, w.Detail) {
				t.Errorf("%s: %+v, want %s", event, w, code)
			}
		}
	}
	publish("note.finalised", undocumented+inactive, "undocumented_event", "webhook_inactive")
	publish("note.finalized", inactive, "webhook_inactive")
	must(t, "", "webhook", "set", "--org", "acme", "--url", "https://acme.example/")
	publish("note.finalized", "")
	publish("note.finalised", undocumented, "undocumented_event")
	must(t, "", "webhook", "disable", "--org", "acme")
	publish("interview.results", inactive, "webhook_inactive")
	if b := books(t); b.Published != 10 {
		t.Errorf("the books are %+v", b)
	}
}

func TestEventsPublishRefusals(t *testing.T) {
	startStore(t)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"one file", nil},
		{"nonexistent", []string{"/nonexistent"}},
		{"", []string{write(t, "no json")}},
		{"", []string{"--id", "a b", write(t, "{}")}},
	} {
		refused(t, c.want, append([]string{"events", "publish", "--org", "acme", "--event", "note.finalized"}, c.args...)...)
	}
	refused(t, `"event" not set`, "events", "publish", "--org", "acme", "-")
}

// kill makes each id a dead letter, with a dispatcher whose endpoint refuses it.
func kill(t *testing.T, receiver *harness.Receiver, ids ...string) {
	t.Helper()
	receiver.SetAnswer(harness.Always(harness.Answer{Status: 500}))
	must(t, "", "webhook", "set", "--org", "acme", "--url", receiver.URL(), "--allow-networks", "127.0.0.0/8")
	for _, id := range ids {
		must(t, `{"call_id":"x"}`, "events", "publish", "--org", "acme", "--event", "interview.results", "--id", id, "-")
	}
	stop := startDispatch(t, receiver, "--retry-backoff", "0s")
	awaitBooks(t, func(b booksJSON) bool { return b.Dead == int64(len(ids)) })
	stop()
}

func TestEventsDead(t *testing.T) {
	startStore(t)
	receiver := harness.NewReceiver(t, harness.ReceiverOptions{})
	if out := must(t, "", "events", "dead", "list"); !strings.Contains(out, "no dead letters") {
		t.Errorf("listed %q", out)
	}
	kill(t, receiver, "e1", "e2", "e3")

	table := must(t, "", "events", "dead", "list", "--org", "acme")
	for _, want := range []string{"retries_exhausted", "acme", "e1", "e3", "500"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table shows no %q:\n%s", want, table)
		}
	}
	list := decode[struct{ Items []map[string]any }](t, must(t, "", "events", "dead", "list", "--json"))
	if len(list.Items) != 3 || list.Items[0]["payload"] != `{"call_id":"x"}` || list.Items[0]["reason"] != "retries_exhausted" {
		t.Errorf("listed %v", list.Items)
	}
	limited := run(t, "", "events", "dead", "list", "--limit", "2")
	if strings.Count(limited.stdout, "\n") != 3 || !strings.Contains(limited.stderr, "There are more") {
		t.Errorf("limited to 2: %q %q", limited.stdout, limited.stderr)
	}
	limited = run(t, "", "events", "dead", "list", "--limit", "2", "--json")
	if !strings.Contains(limited.stderr, "There are more") || len(decode[struct{ Items []any }](t, limited.stdout).Items) != 2 {
		t.Errorf("limited to 2 as JSON: %q %q", limited.stdout, limited.stderr)
	}

	refused(t, "name ids, an organization, or all", "events", "dead", "replay")
	refused(t, "an organization, or all, not both", "events", "dead", "replay", "--all", "--org", "acme")
	refused(t, "ids, or all, not both", "events", "dead", "replay", "--all", "e1")
	refused(t, "organization id must have 1 to 128", "events", "dead", "replay", "--org", "a/b")
	if got := run(t, "", "events", "dead", "replay", "e1", "e9"); got.err == nil || !strings.Contains(got.err.Error(), "1 of 2") ||
		!strings.Contains(got.stdout, "Replayed 1.") || !strings.Contains(got.stdout, "no such dead letter") {
		t.Errorf("replaying an unknown one said %v and %q", got.err, got.stdout)
	}
	must(t, "", "webhook", "disable", "--org", "acme")
	type replayJSON struct {
		Replayed  int `json:"replayed"`
		Refused   []struct{ ID, Reason string }
		Remaining *int `json:"remaining"`
	}
	inactive := run(t, "", "events", "dead", "replay", "--org", "acme", "--json")
	if got := decode[replayJSON](t, inactive.stdout); inactive.err == nil || got.Replayed != 0 || len(got.Refused) != 2 || got.Refused[0].Reason != "webhook_inactive" || got.Remaining == nil {
		t.Errorf("replaying without an active webhook said %v %+v", inactive.err, got)
	}
	must(t, "", "webhook", "enable", "--org", "acme")
	if got := decode[replayJSON](t, must(t, "", "events", "dead", "replay", "--all", "--json")); got.Replayed != 2 || got.Refused == nil || len(got.Refused) != 0 {
		t.Errorf("replaying all said %+v", got)
	}
	if b := books(t); b.Replayed != 3 || b.Waiting != 3 || b.Difference != 0 {
		t.Errorf("the books are %+v", b)
	}

	receiver.SetAnswer(harness.Always(harness.Answer{Status: 204}))
	stop := startDispatch(t, receiver)
	awaitBooks(t, func(b booksJSON) bool { return b.Delivered == 3 && b.Waiting == 0 })
	stop()
}

// If an id has more dead letters than one call moves, all are replayed, and later calls do not
// refuse those that an earlier call has moved.
func TestReplayWholeID(t *testing.T) {
	r := startStore(t)
	must(t, "", "webhook", "set", "--org", "acme", "--url", "https://acme.example/")
	st, err := store.Open(store.Options{URL: r.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	q := queue.New(st, queue.Options{})
	p := q.NewProcess()
	if _, err := p.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	const many = 1001
	for i := range many + 1 {
		id := "x"
		if i == many {
			id = "once"
		}
		if _, err := q.Publish(t.Context(), queue.Event{Name: "e", OrgID: "acme", ID: id, Payload: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
		b, err := p.Dequeue(t.Context(), 1, 2<<20)
		if err != nil || len(b.Events) != 1 {
			t.Fatalf("%+v, %v", b, err)
		}
		if _, err := p.Commit(t.Context(), []queue.Step{{Kind: queue.StepDeadLetter, Event: &b.Events[0], Reason: queue.ReasonBlocked}}); err != nil {
			t.Fatal(err)
		}
	}
	out := must(t, "", "events", "dead", "replay", "once", "x")
	if !strings.Contains(out, "Replayed 1002.") || strings.Contains(out, "Refused") {
		t.Errorf("said %q", out)
	}
}
