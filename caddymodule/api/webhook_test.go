package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

func TestWebhook(t *testing.T) {
	for _, path := range []string{"/tenzo/orgs/acme/webhook", "/tools/acme/webhook"} {
		t.Run(path, func(t *testing.T) {
			e := newEnv(t)
			secret := func() string {
				t.Helper()
				w, err := e.webhooks.Get(t.Context(), "acme")
				e.must(err)
				return w.Secret.Reveal()
			}
			e.refused(http.StatusNotFound, "webhook_not_found", "", "GET", path, "")
			e.refused(http.StatusNotFound, "webhook_not_found", "", "PATCH", path, `{"active": true}`)
			e.refused(http.StatusNotFound, "webhook_not_found", "", "DELETE", path, "")
			e.refused(http.StatusUnprocessableEntity, "missing_url", "url", "PUT", path, `{"active": true}`)
			e.refused(http.StatusUnprocessableEntity, "invalid_url", "url", "PUT", path, `{"url": "http://a.example/"}`)

			set := e.expect(http.StatusOK, "PUT", path, `{"url": "https://a.example/hook", "secret": "do not tell", "active": false}`)
			got := set.json(t)
			if got["url"] != "https://a.example/hook" || got["has_secret"] != true || got["active"] != false || got["org_id"] != "acme" || got["created_at"] == nil {
				t.Errorf("set %s", set.body)
			}
			shown := e.expect(http.StatusOK, "GET", path, "")
			if strings.Contains(string(set.body)+string(shown.body), "do not tell") {
				t.Error("the secret comes out")
			}
			if _, ok := shown.json(t)["secret"]; ok {
				t.Error("there is a member secret")
			}

			// PUT sets everything except the secret; PATCH sets the members that are present.
			if got := e.expect(http.StatusOK, "PATCH", path, `{"url": "https://b.example/hook"}`).json(t); got["active"] != false || got["has_secret"] != true {
				t.Errorf("patched %v", got)
			}
			if got := e.expect(http.StatusOK, "PUT", path, `{"url": "https://c.example/hook"}`).json(t); got["active"] != true || got["has_secret"] != true {
				t.Errorf("put %v", got)
			}
			if got := secret(); got != "do not tell" {
				t.Errorf("the secret is %q", got)
			}
			e.expect(http.StatusOK, "PATCH", path, `{"secret": "another one"}`)
			if got := secret(); got != "another one" {
				t.Errorf("the secret is %q", got)
			}
			if got := e.expect(http.StatusOK, "PATCH", path, `{"secret": null}`).json(t); got["has_secret"] != false || secret() != "" {
				t.Errorf("removed: %v", got)
			}
			e.expect(http.StatusOK, "PUT", path, `{"url": "https://c.example/hook", "secret": "third secret"}`)
			e.expect(http.StatusOK, "PUT", path, `{"url": "https://c.example/hook", "secret": null}`)
			if got := secret(); got != "" {
				t.Errorf("the secret is %q", got)
			}
			e.refused(http.StatusUnprocessableEntity, "invalid_secret", "secret", "PATCH", path, `{"secret": ""}`)
			e.refused(http.StatusUnprocessableEntity, "invalid_value", "url", "PATCH", path, `{"url": null}`)
			e.refused(http.StatusUnprocessableEntity, "invalid_value", "active", "PATCH", path, `{"active": null}`)

			if a := e.expect(http.StatusNoContent, "DELETE", path, ""); len(a.body) != 0 {
				t.Errorf("deleted with %q", a.body)
			}
			e.refused(http.StatusNotFound, "webhook_not_found", "", "GET", path, "")
			if strings.Contains(e.log.String(), "do not tell") {
				t.Error("the secret is in the log")
			}
		})
	}
}

func TestWebhookTest(t *testing.T) {
	e := newEnv(t)
	var asked string
	e.test = func(org, event string) (dispatcher.TestResult, error) {
		asked = org + " " + event
		return dispatcher.TestResult{Acknowledged: true, Status: 202, Duration: 41500 * time.Microsecond}, nil
	}
	for _, path := range []string{"/tenzo/orgs/acme/webhook/test", "/tools/acme/webhook/test"} {
		a := e.expect(http.StatusOK, "POST", path, `{"event": "note.finalized"}`)
		if got := strings.TrimSpace(string(a.body)); got != `{"acknowledged":true,"status":202,"error":null,"duration_ms":41}` || asked != "acme note.finalized" {
			t.Errorf("%s for %s", got, asked)
		}
	}
	e.test = func(string, string) (dispatcher.TestResult, error) {
		return dispatcher.TestResult{Error: "the host does not exist"}, nil
	}
	a := e.expect(http.StatusOK, "POST", "/tools/acme/webhook/test", `{"event": "note.finalized"}`)
	if got := strings.TrimSpace(string(a.body)); got != `{"acknowledged":false,"status":null,"error":"the host does not exist","duration_ms":0}` {
		t.Error(got)
	}
	e.test = func(string, string) (dispatcher.TestResult, error) {
		return dispatcher.TestResult{}, webhook.ErrNotFound
	}
	e.refused(http.StatusNotFound, "webhook_not_found", "", "POST", "/tools/acme/webhook/test", `{"event": "note.finalized"}`)
}

func TestDeliveries(t *testing.T) {
	e := newEnv(t)
	at := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
	e.must(e.queue.LogAttempt(t.Context(), "acme", queue.Delivery{ID: "n1", Event: "note.finalized", Attempt: 1, Error: "no answer", Duration: 30 * time.Second, At: at}))
	e.must(e.queue.LogAttempt(t.Context(), "acme", queue.Delivery{ID: "n1", Event: "note.finalized", Attempt: 2, Status: 200, Duration: 12 * time.Millisecond, At: at.Add(time.Second)}))
	for _, path := range []string{"/tenzo/orgs/acme/webhook/deliveries", "/tools/acme/webhook/deliveries"} {
		items := e.expect(http.StatusOK, "GET", path, "").items(t)
		if len(items) != 2 || items[0]["attempt"] != float64(2) || items[0]["status"] != float64(200) || items[0]["error"] != nil ||
			items[1]["status"] != nil || items[1]["error"] != "no answer" || items[1]["duration_ms"] != float64(30000) || items[1]["at"] != "2026-11-24T20:00:00.000Z" {
			t.Errorf("%v", items)
		}
	}
}
