package tests

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestDelivery follows one event of each kind from the stream to the customer, who verifies it as
// the customers' documentation says.
func TestDelivery(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	d := h.dispatch()
	h.setWebhook("acme", "/acme")
	const whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	h.setWebhook("globex", "/globex", "secret", whsec)
	h.setWebhook("initech", "/initech", "secret", "")
	for _, org := range []string{"acme", "globex", "initech"} {
		publish(t, h.rdb, "event", "interview.results", "org_id", org, "id", org+"-call", "payload",
			`{"call_id":"`+org+`-call","internal":"hidden","overall_grade":85.50,"candidate_name":"J\u00f6rg"}`)
	}
	stream := publish(t, h.rdb, "event", "note.finalized", "org_id", "acme", "payload", `{"noteId":"n1","meeting":{"type":"intake","room":"hidden"},
		"notes":{"annotations":["hidden"],"sections":[]},"transcript":[{"role":"Recruiter","em\u0061il":"hidden@acme.com","id":"hidden","content":"hi"}]}`)

	seen := map[string]harness.Received{}
	for _, r := range h.receiver.Wait(4, 10*time.Second) {
		if strings.Contains(string(r.Body), "hidden\"") {
			t.Errorf("what is internal leaves: %s", r.Body)
		}
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" ||
			!strings.HasPrefix(r.Header.Get("User-Agent"), "Tenzo-Webhooks/") || r.Header.Get("Webhook-Timestamp") == "" {
			t.Errorf("a request came as %+v", r)
		}
		seen[r.Header.Get("Webhook-Id")] = r
	}
	acme := seen["acme-call"]
	if want := `{"event":"interview.results","call_id":"acme-call","overall_grade":85.50,"candidate_name":"J\u00f6rg"}`; string(acme.Body) != want {
		t.Errorf("the body is %s", acme.Body)
	}
	if acme.Header.Get("X-Webhook-Event") != "interview.results" || acme.Path != "/"+webhookToken+"/acme" {
		t.Errorf("came as %+v", acme)
	}
	note := seen[stream]
	var public map[string]any
	if err := json.Unmarshal(note.Body, &public); err != nil || public["orgId"] != "acme" || public["event"] != "note.finalized" ||
		public["timestamp"] == nil || note.Header.Get("X-Webhook-Event") != "note.finalized" {
		t.Errorf("the note is %s, %v", note.Body, err)
	}

	// The documented signature, checked by the function that the documentation prints.
	for id, secret := range map[string]string{"acme-call": webhookSecret, stream: webhookSecret, "globex-call": whsec} {
		verify := exec.Command("python3", filepath.Join(harness.Root(t), "tests/testdata/verify.py"), seen[id].Header.Get("X-Webhook-Signature"), secret)
		verify.Stdin = strings.NewReader(string(seen[id].Body))
		if out, err := verify.CombinedOutput(); err != nil {
			t.Errorf("%s: the documented function refuses the signature: %v %s", id, err, out)
		}
	}
	// The Standard Webhooks headers, checked by the reference library.
	hook, err := standardwebhooks.NewWebhook(whsec)
	must(t, err)
	if err := hook.Verify(seen["globex-call"].Body, seen["globex-call"].Header); err != nil {
		t.Errorf("the library refuses: %v", err)
	}
	if hook, err = standardwebhooks.NewWebhookRaw([]byte(webhookSecret)); err != nil {
		t.Fatal(err)
	}
	if err := hook.Verify(acme.Body, acme.Header); err != nil {
		t.Errorf("the library refuses: %v", err)
	}
	for _, name := range []string{"X-Webhook-Signature", "Webhook-Signature"} {
		if got := seen["initech-call"].Header.Values(name); len(got) != 0 {
			t.Errorf("without a secret %s is %q", name, got)
		}
	}
	h.awaitDrained(10*time.Second, books{Published: 4, Delivered: 4})
	checkNoSecrets(t, d.Log().String())

	var log struct {
		Items []struct {
			ID, Event   string
			Attempt     int
			Status      *int
			DurationsMS *int `json:"duration_ms"`
		}
	}
	r := command(t, h.redis.URL(), "webhook", "deliveries", "--org", "acme", "--json")
	if err := json.Unmarshal([]byte(r.Stdout), &log); err != nil || len(log.Items) != 2 || log.Items[0].Status == nil || *log.Items[0].Status != 200 {
		t.Errorf("webhook deliveries: %s%s", r.Stdout, r.Stderr)
	}
}

// TestRetries checks the schedule: a retry at once over a new connection, then after 2 s and 4 s.
// After four requests the event is a dead letter. A replay is a new delivery under the same id.
func TestRetries(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Status: 500})})
	d := h.dispatch()
	h.setWebhook("acme", "")
	h.publishInterview("acme", "one")
	h.receiver.Wait(4, 20*time.Second)
	h.awaitDrained(10*time.Second, books{Published: 1, Dead: 1})
	got := h.receiver.Received()
	if len(got) != 4 {
		t.Fatalf("%d requests", len(got))
	}
	if got[1].Conn == got[0].Conn {
		t.Error("the first retry came over the same connection")
	}
	for i, pause := range []time.Duration{0, 2 * time.Second, 4 * time.Second} {
		if took := got[i+1].At.Sub(got[i].At); took < pause || took > pause+1500*time.Millisecond {
			t.Errorf("retry %d came after %v, not %v", i+1, took, pause)
		}
	}
	for _, r := range got {
		if r.Header.Get("Webhook-Id") != "one" || string(r.Body) != string(got[0].Body) {
			t.Errorf("an attempt differs: %v %s", r.Header, r.Body)
		}
	}
	dead := h.deadLetters("--org", "acme")
	if len(dead) != 1 || dead[0].ID != "one" || dead[0].Reason != "retries_exhausted" || dead[0].Attempts != 4 || dead[0].LastStatus == nil || *dead[0].LastStatus != 500 {
		t.Fatalf("dead are %+v", dead)
	}
	if other := h.deadLetters("--org", "other"); len(other) != 0 {
		t.Errorf("another organization's dead are %+v", other)
	}

	// Without an active webhook a replay is refused, and the dead letter stays.
	h.setWebhook("acme", "", "active", "0")
	refused := command(t, h.redis.URL(), "events", "dead", "replay", "one")
	if refused.Status != 1 || len(h.deadLetters()) != 1 {
		t.Errorf("a replay without an active webhook: %+v", refused)
	}
	if r := command(t, h.redis.URL(), "events", "dead", "replay", "unheard-of"); r.Status != 1 {
		t.Errorf("a replay of an unknown id: %+v", r)
	}
	h.receiver.SetAnswer(nil)
	h.setWebhook("acme", "")
	if r := command(t, h.redis.URL(), "events", "dead", "replay", "one"); r.Status != 0 {
		t.Errorf("replay: %+v", r)
	}
	if last := h.receiver.Wait(5, 10*time.Second)[4]; last.Header.Get("Webhook-Id") != "one" {
		t.Errorf("the replay came as %v", last.Header)
	}
	h.awaitDrained(10*time.Second, books{Published: 1, Replayed: 1, Dead: 1, Delivered: 1})
	if dead := h.deadLetters(); len(dead) != 0 {
		t.Errorf("dead are still %+v", dead)
	}
	checkNoSecrets(t, d.Log().String())
}

// TestAcknowledgingStatuses checks which answers acknowledge a delivery. Each has an organization
// of its own.
func TestAcknowledgingStatuses(t *testing.T) {
	t.Parallel()
	answers := map[string]struct {
		answer harness.Answer
		acked  bool
	}{
		"200": {harness.Answer{Status: 200, Body: []byte("thanks")}, true},
		"201": {harness.Answer{Status: 201}, true},
		"202": {harness.Answer{Status: 202}, true},
		"204": {harness.Answer{Status: 204}, true},
		// As soon as the status has arrived.
		"drip":             {harness.Answer{Status: 200, Drip: 50 * time.Millisecond}, true},
		"slow":             {harness.Answer{Status: 200, Delay: 700 * time.Millisecond}, true},
		"large":            {harness.Answer{Status: 200, Body: make([]byte, 4<<20)}, true},
		"203":              {harness.Answer{Status: 203}, false},
		"206":              {harness.Answer{Status: 206}, false},
		"302":              {harness.Answer{Redirect: "/elsewhere"}, false},
		"307":              {harness.Answer{Status: 307, Redirect: "/elsewhere"}, false},
		"400":              {harness.Answer{Status: 400}, false},
		"410":              {harness.Answer{Status: 410}, false},
		"500":              {harness.Answer{Status: 500}, false},
		"hang":             {harness.Answer{Hang: true}, false},
		"reset":            {harness.Answer{Reset: true}, false},
		"late":             {harness.Answer{Status: 200, Delay: 20 * time.Second}, false},
		"drip-before-body": {harness.Answer{Status: 500, Drip: 50 * time.Millisecond}, false},
	}
	h := newWebhookEnv(t, harness.ReceiverOptions{Answer: func(r *harness.Received) harness.Answer {
		if strings.HasSuffix(r.Path, "/elsewhere") {
			t.Error("a redirect is followed")
		}
		return answers[r.Path[strings.LastIndex(r.Path, "/")+1:]].answer
	}})
	h.dispatch("--retry-backoff", "0s,0s", "--timeout", "2s")
	acked, dead := 0, 0
	for name, a := range answers {
		h.setWebhook(name, "/"+name)
		h.publishInterview(name, name)
		if a.acked {
			acked++
		} else {
			dead++
		}
	}
	h.awaitDrained(40*time.Second, books{Published: int64(len(answers)), Delivered: int64(acked), Dead: int64(dead)})
	for id, n := range h.deliveries() {
		want := 1
		if !answers[id].acked {
			want = 3
		}
		if n != want {
			t.Errorf("%s: %d requests", id, n)
		}
	}
}

// TestNotDelivered publishes events that are never sent, and checks the reason of each.
func TestNotDelivered(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	h.dispatch("--max-payload", "10KiB")
	h.setWebhook("acme", "")
	h.setWebhook("private", "", "url", "https://192.168.0.1/hook")
	h.setWebhook("plain", "", "url", "http://127.0.0.1/hook")
	h.setWebhook("nowhere", "", "url", "")
	h.setWebhook("odd", "", "active", "true")
	long := strings.Repeat("x", 11<<10)
	reasons := map[string]string{
		publish(t, h.rdb, "event", "interview.results", "org_id", "acme", "id", "no-object", "payload", `[1]`):                                                  "invalid_payload",
		publish(t, h.rdb, "event", "interview.results", "org_id", "acme", "id", "no-json", "payload", `{`):                                                      "invalid_payload",
		publish(t, h.rdb, "event", "interview.results", "org_id", "acme", "id", "twice", "payload", `{"call_id":"a","c\u0061ll_id":"b"}`):                       "invalid_payload",
		publish(t, h.rdb, "event", "interview.results", "org_id", "acme", "id", "no-utf8", "payload", "{\"call_id\":\"\xff\"}"):                                 "invalid_payload",
		publish(t, h.rdb, "event", "interview.results", "org_id", "acme", "id", "no-call", "payload", `{}`):                                                     "invalid_payload",
		publish(t, h.rdb, "event", "interview.results", "org_id", "acme", "id", "other", "payload", `{"call_id":"a","event":"note.finalized"}`):                 "invalid_payload",
		publish(t, h.rdb, "event", "note.finalized", "org_id", "acme", "id", "others", "payload", `{"noteId":"a","meeting":{"type":"intake"},"orgId":"other"}`): "invalid_payload",
		publish(t, h.rdb, "event", "note.finalized", "org_id", "acme", "id", "type", "payload", `{"noteId":"a","meeting":{"type":"party"}}`):                    "invalid_payload",
		publish(t, h.rdb, "event", "candidate.hired", "org_id", "acme", "id", "unknown", "payload", `{}`):                                                       "unknown_event",
		publish(t, h.rdb, "event", "interview.results", "org_id", "acme", "id", "large", "payload", `{"call_id":"`+long+`"}`):                                   "payload_too_large",
		publish(t, h.rdb, "event", "interview.results", "org_id", "acme", "id", "has space", "payload", `{"call_id":"a"}`):                                      "invalid_event",
		publish(t, h.rdb, "event", "interview.results", "org_id", "a b", "id", "org", "payload", `{"call_id":"a"}`):                                             "invalid_event",
		publish(t, h.rdb, "event", "interview.results", "id", "no-org", "payload", `{"call_id":"a"}`):                                                           "invalid_event",
		publish(t, h.rdb, "event", "interview.results", "org_id", "acme", "id", "no-payload"):                                                                   "invalid_event",
		publish(t, h.rdb, "org_id", "acme", "id", "no-event", "payload", `{"call_id":"a"}`):                                                                     "invalid_event",
		publish(t, h.rdb, "event", "interview.results", "org_id", "private", "id", "private", "payload", `{"call_id":"a"}`):                                     "blocked",
		publish(t, h.rdb, "event", "interview.results", "org_id", "plain", "id", "plain", "payload", `{"call_id":"a"}`):                                         "blocked",
		publish(t, h.rdb, "event", "interview.results", "org_id", "nowhere", "id", "nowhere", "payload", `{"call_id":"a"}`):                                     "blocked",
	}
	h.publishInterview("odd", "inactive")
	h.publishInterview("none", "no-webhook")
	publish(t, h.rdb, "event", "whatever", "org_id", "none", "payload", "not even judged")
	dead := int64(len(reasons))
	h.awaitDrained(20*time.Second, books{Published: dead + 3, Dead: dead, Skipped: 3})
	if n := h.receiver.Count(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	want, got := map[string]int{}, map[string]int{}
	for _, reason := range reasons {
		want[reason]++
	}
	for _, letter := range h.deadLetters() {
		got[letter.Reason]++
		if letter.Attempts != 0 {
			t.Errorf("%s has %d attempts", letter.ID, letter.Attempts)
		}
		if _, byStreamID := reasons[letter.ID]; byStreamID != (letter.Reason == "invalid_event") {
			t.Errorf("%s, dead as %s, goes by the wrong id", letter.ID, letter.Reason)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// TestDeduplication publishes the same id again: while the first event is unfinished, after its
// delivery, and after it was skipped or dead-lettered.
func TestDeduplication(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	h.setWebhook("acme", "")
	h.setWebhook("globex", "")
	for range 3 {
		h.publishInterview("acme", "same")
	}
	h.publishInterview("globex", "same") // the same id of another organization is another event
	h.dispatch()
	h.awaitDrained(10*time.Second, books{Published: 4, Delivered: 2, Duplicate: 2})
	h.publishInterview("acme", "same")
	h.awaitDrained(10*time.Second, books{Published: 5, Delivered: 2, Duplicate: 3})
	if n := h.receiver.Count(); n != 2 {
		t.Errorf("%d requests", n)
	}
	// A skipped event frees its id. The dispatcher knows of the changed webhook once an event with
	// another id shows it.
	probes := 0
	switched := func(active string, shows func(books) int64) (b books) {
		t.Helper()
		h.setWebhook("acme", "", "active", active)
		before := shows(h.books())
		harness.Eventually(t, 10*time.Second, func() error {
			probes++
			h.publishInterview("acme", fmt.Sprint("probe-", probes))
			harness.Eventually(t, 10*time.Second, func() error {
				if b = h.books(); b.Waiting > 0 {
					return fmt.Errorf("%d events wait", b.Waiting)
				}
				return nil
			})
			if shows(b) == before {
				return errors.New("the change has not arrived")
			}
			return nil
		})
		return b
	}
	b := switched("0", func(b books) int64 { return b.Skipped })
	h.publishInterview("acme", "later")
	b.Published, b.Skipped = b.Published+1, b.Skipped+1
	h.awaitDrained(10*time.Second, b)
	b = switched("1", func(b books) int64 { return b.Delivered })
	h.publishInterview("acme", "later")
	b.Published, b.Delivered = b.Published+1, b.Delivered+1
	h.awaitDrained(10*time.Second, b)
}

// TestWebhookChangedBetweenAttempts changes a webhook between two attempts of one event.
func TestWebhookChangedBetweenAttempts(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{Answer: func(r *harness.Received) harness.Answer {
		if strings.HasSuffix(r.Path, "/old") {
			return harness.Answer{Status: 500}
		}
		return harness.Answer{}
	}})
	h.dispatch()
	h.setWebhook("acme", "/old")
	h.publishInterview("acme", "one")
	h.receiver.Wait(2, 10*time.Second) // the first attempt and the retry at once
	c := command(t, h.redis.URL(), "webhook", "set", "--org", "acme", "--url", h.receiver.URL()+"/new", "--allow-networks", "127.0.0.0/8")
	if c.Status != 0 {
		t.Fatalf("webhook set: %s", c.Stderr)
	}
	if last := h.receiver.Wait(3, 10*time.Second)[2]; last.Path != "/new" {
		t.Errorf("the next attempt went to %s", last.Path)
	}
	h.awaitDrained(10*time.Second, books{Published: 1, Delivered: 1})
}
