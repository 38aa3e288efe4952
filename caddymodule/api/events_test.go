package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

func TestPublish(t *testing.T) {
	e := newEnv(t)
	payload := `{"b":1.0,"a":"\u00e9 <&>","meeting":{"type":"intake"},"n":12345678901234567890}`
	got := e.expect(http.StatusAccepted, "POST", "/tenzo/orgs/acme/events", `{"event": "note.finalized", "id": "note-1", "payload": `+payload+`}`).json(t)
	warnings, _ := got["warnings"].([]any)
	if got["id"] != "note-1" || len(warnings) != 1 || warnings[0].(map[string]any)["code"] != "webhook_inactive" {
		t.Errorf("published %v", got)
	}
	streamID := e.expect(http.StatusAccepted, "POST", "/tenzo/orgs/acme/events", `{"event": "note.finalized", "id": null, "payload": {}}`).json(t)["id"].(string)
	entries, err := e.raw.XRange(t.Context(), e.store.Names().Events(), "-", "+").Result()
	if err != nil || len(entries) != 2 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if v := entries[0].Values; v["payload"] != payload || v["org_id"] != "acme" || v["event"] != "note.finalized" || v["id"] != "note-1" {
		t.Errorf("the entry is %v", v)
	}
	if entries[1].ID != streamID || entries[1].Values["id"] != nil {
		t.Errorf("the entry is %v, the answer said %q", entries[1], streamID)
	}
	e.refused(http.StatusUnprocessableEntity, "missing_event", "event", "POST", "/tenzo/orgs/acme/events", `{"payload": {}}`)
	for _, bad := range []string{"a/b", ""} {
		e.refused(http.StatusUnprocessableEntity, "invalid_id", "id", "POST", "/tenzo/orgs/acme/events", `{"event": "e", "id": "`+bad+`", "payload": {}}`)
	}
	for _, bad := range []string{`[]`, `"{}"`, `null`, `1`} {
		e.refused(http.StatusUnprocessableEntity, "invalid_payload", "payload", "POST", "/tenzo/orgs/acme/events", `{"event": "e", "payload": `+bad+`}`)
	}
	e.refused(http.StatusUnprocessableEntity, "invalid_payload", "payload", "POST", "/tenzo/orgs/acme/events", `{"event": "e"}`)
	e.refused(http.StatusNotFound, "not_found", "", "POST", "/tools/acme/events", `{"event": "e", "payload": {}}`)
}

func TestDeadLetters(t *testing.T) {
	e := newEnv(t)
	e.addDeadLetter("acme", "n1", queue.ReasonRetriesExhausted)
	e.addDeadLetter("other", "n2", queue.ReasonBlocked)
	ids := func(path string) []string {
		var out []string
		for _, item := range e.expect(http.StatusOK, "GET", path, "").items(t) {
			out = append(out, item["id"].(string))
		}
		return out
	}
	for path, want := range map[string][]string{
		"/tenzo/dead-letters": {"n2", "n1"}, "/tenzo/dead-letters?org=acme": {"n1"}, "/tenzo/dead-letters?org=nobody": nil,
		"/tools/acme/dead-letters": {"n1"}, "/tools/acme/dead-letters?org=other": {"n1"}, "/tools/other/dead-letters?org=acme&org=other": {"n2"},
	} {
		if got := ids(path); !slices.Equal(got, want) {
			t.Errorf("%s: %v, not %v", path, got, want)
		}
	}
	item := e.expect(http.StatusOK, "GET", "/tools/acme/dead-letters", "").items(t)[0]
	if item["reason"] != "retries_exhausted" || item["attempts"] != float64(4) || item["last_status"] != float64(500) || item["last_error"] != "the endpoint answered 500" ||
		item["event"] != "note.finalized" || item["org_id"] != "acme" || item["published_at"] == nil || item["first_seen_at"] == nil || item["dead_at"] == nil {
		t.Errorf("%v", item)
	}
	if _, ok := item["payload"]; ok {
		t.Error("the payload comes out")
	}
	for _, bad := range []string{"", "a%2Fb", "%20"} {
		e.refused(http.StatusBadRequest, "invalid_org_id", "org", "GET", "/tenzo/dead-letters?org="+bad, "")
	}
}

// replayed is the answer to a replay.
type replayed struct {
	Replayed, Remaining int
	Refused             []struct{ ID, Reason string }
}

func (e *env) replay(path, body string) replayed {
	e.t.Helper()
	var r replayed
	if err := json.Unmarshal(e.expect(http.StatusOK, "POST", path+"/dead-letters/replay", body).body, &r); err != nil {
		e.t.Fatal(err)
	}
	return r
}

func TestReplay(t *testing.T) {
	e := newEnv(t)
	for _, path := range []string{"/tenzo", "/tools/acme"} {
		for body, field := range map[string]string{`{}`: "", `{"ids": []}`: "ids", `{"all": false}`: "", `{"ids": null}`: ""} {
			e.refused(http.StatusBadRequest, "nothing_named", field, "POST", path+"/dead-letters/replay", body)
		}
		e.refused(http.StatusBadRequest, "contradiction", "all", "POST", path+"/dead-letters/replay", `{"ids": ["a"], "all": true}`)
		many, err := json.Marshal(slices.Repeat([]string{"x"}, 1001))
		e.must(err)
		e.refused(http.StatusBadRequest, "too_many_ids", "ids", "POST", path+"/dead-letters/replay", `{"ids": `+string(many)+`}`)
		if got := e.replay(path, `{"ids": ["nobody", "no id/", "nobody"]}`); got.Replayed != 0 || len(got.Refused) != 2 || got.Refused[0].Reason != "not_found" || got.Refused[1].Reason != "not_found" {
			t.Errorf("%s: unknown ids: %+v", path, got)
		}
	}
	e.refused(http.StatusBadRequest, "nothing_named", "ids", "POST", "/tenzo/dead-letters/replay", `{"ids": [], "org": "acme"}`)
	e.refused(http.StatusBadRequest, "contradiction", "all", "POST", "/tenzo/dead-letters/replay", `{"all": true, "org": "acme"}`)
	e.refused(http.StatusUnprocessableEntity, "invalid_org_id", "org", "POST", "/tenzo/dead-letters/replay", `{"org": "a/b"}`)

	e.addDeadLetter("acme", "n1", queue.ReasonRetriesExhausted)
	if got := e.replay("/tenzo", `{"ids": ["n1"]}`); got.Replayed != 0 || len(got.Refused) != 1 || got.Refused[0].Reason != "webhook_inactive" || len(e.dead("acme")) != 1 {
		t.Errorf("without a webhook: %+v, dead %v", got, e.dead("acme"))
	}
	e.webhook("acme", false)
	if got := e.replay("/tools/acme", `{"all": true}`); got.Replayed != 0 || got.Refused[0].Reason != "webhook_inactive" || len(e.dead("acme")) != 1 {
		t.Errorf("while inactive: %+v", got)
	}
	e.webhook("acme", true)
	if got := e.replay("/tools/acme", `{"ids": ["n1"]}`); got.Replayed != 1 || len(got.Refused) != 0 || len(e.dead("acme")) != 0 {
		t.Errorf("%+v, dead %v", got, e.dead("acme"))
	}
}

func TestReplayOfMany(t *testing.T) {
	e := newEnv(t)
	e.webhook("acme", true)
	e.webhook("other", true)
	for i := range 3 {
		e.addDeadLetter("acme", fmt.Sprint("a", i), queue.ReasonRetriesExhausted)
		e.addDeadLetter("other", fmt.Sprint("o", i), queue.ReasonRetriesExhausted)
	}
	e.addDeadLetter("acme", "both", queue.ReasonRetriesExhausted)
	e.addDeadLetter("other", "both", queue.ReasonRetriesExhausted)
	if got := e.replay("/tenzo", `{"ids": ["both"]}`); got.Replayed != 0 || len(got.Refused) != 1 {
		t.Errorf("an id found twice: %+v", got)
	}
	if got := e.replay("/tenzo", `{"ids": ["both", "a0"], "org": "acme"}`); got.Replayed != 2 {
		t.Errorf("with the organization: %+v", got)
	}
	if got := e.replay("/tenzo", `{"org": "acme"}`); got.Replayed != 2 || got.Remaining != 0 || len(e.dead("acme")) != 0 || len(e.dead("other")) != 4 {
		t.Errorf("of one organization: %+v", got)
	}
	if got := e.replay("/tenzo", `{"all": true}`); got.Replayed != 4 || len(e.dead("")) != 0 {
		t.Errorf("of all: %+v", got)
	}
}

// Under Developer Tools no route gives access to another organization, whatever the request
// contains.
func TestNoWayToAnotherOrganization(t *testing.T) {
	e := newEnv(t)
	// These ids sort next to each other, so an index must separate them exactly.
	victims := []string{"acm", "acme-2", "acme.eu", "acme:x", "acme0", "acmf"}
	keys := map[string]string{}
	for _, org := range append([]string{"acme"}, victims...) {
		k, err := e.keys.Create(t.Context(), org, apikey.Params{Name: "key of " + org})
		e.must(err)
		keys[org] = k.ID
		e.webhook(org, true)
		e.must(e.queue.LogAttempt(t.Context(), org, queue.Delivery{ID: "delivery-of-" + org, Event: "note.finalized", Attempt: 1, Status: 200}))
	}
	for _, org := range victims {
		e.addDeadLetter(org, "dead-of-"+org, queue.ReasonRetriesExhausted)
		e.addDeadLetter(org, "shared", queue.ReasonRetriesExhausted)
	}
	for _, org := range victims {
		for _, query := range []string{"", "?org=" + org, "?org_id=" + org, "?limit=1000&org=" + org} {
			for _, path := range []string{"keys", "webhook", "webhook/deliveries", "dead-letters", "openapi.json"} {
				if a := e.expect(http.StatusOK, "GET", "/tools/acme/"+path+query, ""); strings.Contains(string(a.body), org+`"`) && org != "acm" || strings.Contains(string(a.body), "of-"+org+`"`) {
					t.Errorf("GET %s%s shows what is %s's: %s", path, query, org, a.body)
				}
			}
			e.refused(http.StatusNotFound, "key_not_found", "", "DELETE", "/tools/acme/keys/"+keys[org]+query, "")
			for _, body := range []string{`{"ids": ["dead-of-` + org + `", "shared"]}`, `{"all": true}`} {
				if got := e.replay("/tools/acme", body); got.Replayed != 0 {
					t.Errorf("%s%s replays %s's: %+v", body, query, org, got)
				}
			}
			for _, body := range []string{`{"org": "` + org + `"}`, `{"ids": ["dead-of-` + org + `"], "org": "` + org + `"}`, `{"all": true, "org": "` + org + `"}`, `{"all": true, "org": "acme"}`, `{"org": null}`} {
				e.refused(http.StatusBadRequest, "unknown_member", "org", "POST", "/tools/acme/dead-letters/replay"+query, body)
			}
		}
		// Forged cursors that begin outside the organization's own range.
		for _, cursor := range []string{org + "/", org, "9999999999999," + org + "/", "9999999999999,acme-/", "9999999999999,acme.", "9999999999999," + org + "/0000000000000-00000000000000000000", "9999999999999-0"} {
			a := e.call("POST", "/tools/acme/dead-letters/replay", `{"all": true, "cursor": "`+cursor+`"}`)
			if a.status == http.StatusOK && a.json(t)["replayed"] != float64(0) {
				t.Errorf("the cursor %q replays another's: %s", cursor, a.body)
			}
			for _, path := range []string{"dead-letters", "keys", "webhook/deliveries"} {
				if a := e.call("GET", "/tools/acme/"+path+"?cursor="+cursor, ""); strings.Contains(string(a.body), "of-"+org+`"`) {
					t.Errorf("the cursor %q shows another's %s: %s", cursor, path, a.body)
				}
			}
		}
		for _, path := range []string{"/tools/acme/./keys", "/tools/acme/orgs/" + org + "/keys", "/tools/acme//keys", "/tools/acme/keys/../../" + org + "/keys"} {
			if a := e.call("GET", path, "", "Accept", "*/*"); a.status == http.StatusOK {
				t.Errorf("GET %s: %s", path, a.body)
			}
		}
		if got := len(e.dead(org)); got != 2 {
			t.Errorf("%s has %d dead letters left", org, got)
		}
		w, err := e.webhooks.Get(t.Context(), org)
		if err != nil || !w.Active || w.URL != "https://hooks.example/"+org {
			t.Errorf("the webhook of %s: %v %v", org, w.URL, err)
		}
	}
	// An invalid organization gets nothing.
	for _, org := range []string{"%20", "a%2Fb", "a%00", strings.Repeat("x", 129)} {
		e.refused(http.StatusForbidden, "no_organization", "", "GET", "/tools/"+org+"/keys", "")
	}
	for _, org := range []string{"%20", "a%2Fb", "a%00", strings.Repeat("x", 129)} {
		e.refused(http.StatusBadRequest, "invalid_org_id", "org", "GET", "/tenzo/orgs/"+org+"/keys", "")
	}
}
