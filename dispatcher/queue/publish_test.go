package queue

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestPublishRefuses(t *testing.T) {
	e := newEnv(t, harness.StartRedis(t).URL(), Options{})
	good := Event{Name: "note.finalized", OrgID: "org", ID: "id", Payload: []byte(` {"a":1} `)}
	for field, change := range map[string]func(*Event){
		"event":   func(ev *Event) { ev.Name = "" },
		"org":     func(ev *Event) { ev.OrgID = "a/b" },
		"id":      func(ev *Event) { ev.ID = "a b" },
		"payload": func(ev *Event) { ev.Payload = []byte(`[1]`) },
		"event ":  func(ev *Event) { ev.Name = "note\nfinalized" },
		"event  ": func(ev *Event) { ev.Name = strings.Repeat("x", 129) },
	} {
		ev := good
		change(&ev)
		var refusal *problem.Error
		if _, err := e.q.Publish(t.Context(), ev); !errors.As(err, &refusal) || refusal.Field != strings.TrimSpace(field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if id := must[string](t)(e.q.Publish(t.Context(), good)); id != "id" {
		t.Error(id)
	}
	good.ID = ""
	if id := must[string](t)(e.q.Publish(t.Context(), good)); !validStreamID(id) {
		t.Error(id)
	}
}

// A publisher is warned about an event that may not be delivered as things are now.
func TestWarnings(t *testing.T) {
	eachRedis(t, func(t *testing.T, e *env) {
		codes := func(name, org string) (out []string) {
			for _, w := range e.q.Warnings(t.Context(), Event{Name: name, OrgID: org}) {
				if !strings.Contains(w.Detail, name) && !strings.Contains(w.Detail, org) {
					t.Errorf("%+v names neither the event nor the organization", w)
				}
				out = append(out, w.Code)
			}
			return out
		}
		e.activateWebhook("on")
		e.do("hset", "tenzo:webhook:off", "url", "https://x.example/", "active", "0")
		for _, c := range []struct {
			name, org string
			want      []string
		}{
			{"note.finalized", "on", nil},
			{"interview.results", "on", nil},
			{"note.finalised", "on", []string{WarningUndocumentedEvent}},
			{"note.finalized", "off", []string{WarningWebhookInactive}},
			{"note.finalized", "none", []string{WarningWebhookInactive}},
			{"x", "none", []string{WarningUndocumentedEvent, WarningWebhookInactive}},
		} {
			if got := codes(c.name, c.org); !slices.Equal(got, c.want) {
				t.Errorf("%s of %s: %v, want %v", c.name, c.org, got, c.want)
			}
		}
		e.do("set", "tenzo:webhook:broken", "x") // a webhook that cannot be read
		if got := codes("note.finalized", "broken"); got != nil {
			t.Errorf("a webhook that cannot be read: %v", got)
		}
	})
}
