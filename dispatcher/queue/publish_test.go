package queue

import (
	"errors"
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
	if id := must[string](t)(e.q.Publish(t.Context(), good)); !streamID.MatchString(id) {
		t.Error(id)
	}
}
