package apimodel

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// Programs rely on these names, which are those of specification.md, section 4, and on null for
// absent values.
func TestShapes(t *testing.T) {
	at := time.Date(2027, 1, 1, 2, 0, 0, 290_456_789, time.FixedZone("", 7200))
	key := apikey.Key{ID: "k", OrgID: "acme", Name: "n", Hint: "h", CreatedAt: at}
	record := `"id":"k","org_id":"acme","name":"n","hint":"h",`
	created := `"created_at":"2027-01-01T00:00:00.290Z","expires_at":null,"revoked_at":null`
	for _, c := range []struct {
		view any
		want string
	}{
		{
			KeyOf(apikey.Listed{Key: key, Status: apikey.StatusExpired, Usage: apikey.Usage{Count: 2, LastUsedAt: at}}),
			`{` + record + `"status":"expired",` + created + `,"usage_count":2,"last_used_at":"2027-01-01T00:00:00.290Z"}`,
		},
		{
			CreatedKeyOf(apikey.Created{Key: key, Secret: "tenzo_pk_x"}),
			`{` + record + `"status":"active",` + created + `,"usage_count":0,"last_used_at":null,"key":"tenzo_pk_x"}`,
		},
		{RevokedKeyOf(key, apikey.NoReplica), `{` + record + `"status":"revoked",` + created + `,"replica":"none"}`},
		{RevokedKeyOf(key, apikey.OnReplica), `{` + record + `"status":"revoked",` + created + `,"replica":"confirmed"}`},
		{RevokedKeyOf(key, apikey.NotOnReplica), `{` + record + `"status":"revoked",` + created + `,"replica":"unconfirmed"}`},
		{
			WebhookOf(webhook.Webhook{OrgID: "acme", URL: "https://h", Secret: webhook.NewSecret("s"), Active: true, UpdatedAt: at}),
			`{"org_id":"acme","url":"https://h","has_secret":true,"active":true,"created_at":null,"updated_at":"2027-01-01T00:00:00.290Z"}`,
		},
		{
			DeliveryOf(queue.Delivery{ID: "e", Event: "note.finalized", Attempt: 1, Error: "x", Duration: 1500 * time.Microsecond, At: at}),
			`{"id":"e","event":"note.finalized","attempt":1,"status":null,"error":"x","duration_ms":1,"at":"2027-01-01T00:00:00.290Z"}`,
		},
		{TestOf(dispatcher.TestResult{Acknowledged: true, Status: 204}), `{"acknowledged":true,"status":204,"error":null,"duration_ms":0}`},
		{
			DeadLetterOf(queue.DeadLetter{ID: "e", Event: "n", OrgID: "acme", Payload: []byte("{}"), Reason: "blocked", LastStatus: 500}),
			`{"id":"e","event":"n","org_id":"acme","reason":"blocked","attempts":0,"last_status":500,"last_error":null,` +
				`"published_at":null,"first_seen_at":null,"dead_at":null}`,
		},
		{
			ReplayedOf(queue.ReplayResult{Replayed: 1, Refused: []queue.Refusal{{ID: "e", Reason: "not_found"}, {ID: "f", OrgID: "acme", Reason: "r"}}, NextCursor: "c"}),
			`{"replayed":1,"refused":[{"id":"e","reason":"not_found"},{"id":"f","org_id":"acme","reason":"r"}],"remaining":0,"next_cursor":"c"}`,
		},
		{ReplayedOf(queue.ReplayResult{}), `{"replayed":0,"refused":[],"remaining":0,"next_cursor":null}`},
		{
			PublishedOf("e", []queue.Warning{{Code: queue.WarningWebhookInactive, Detail: "d"}}),
			`{"id":"e","warnings":[{"code":"webhook_inactive","detail":"d"}]}`,
		},
		{PublishedOf("e", nil), `{"id":"e","warnings":[]}`},
		{ListOf(config.Page[apikey.Listed]{}, KeyOf), `{"items":[],"next_cursor":null}`},
	} {
		got, err := json.Marshal(c.view)
		if err != nil || string(got) != c.want {
			t.Errorf("%T is\n%s, want\n%s (%v)", c.view, got, c.want, err)
		}
		noOtherTimes(t, reflect.TypeOf(c.view))
	}
}

// noOtherTimes fails where a form has a time that is not a Time.
func noOtherTimes(t *testing.T, form reflect.Type) {
	t.Helper()
	switch form.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		noOtherTimes(t, form.Elem())
	case reflect.Struct:
		if form == reflect.TypeFor[Time]() {
			return
		}
		if form == reflect.TypeFor[time.Time]() {
			t.Error("a time.Time in JSON has a form of its own")
			return
		}
		for field := range form.Fields() {
			noOtherTimes(t, field.Type)
		}
	}
}

// Every time has the one form, in UTC, whatever its precision and zone.
func TestTimes(t *testing.T) {
	base := time.Date(2027, 1, 1, 0, 0, 2, 0, time.FixedZone("", 3600))
	for _, fraction := range []time.Duration{0, time.Millisecond, 290 * time.Millisecond, 290_999_999, 999_999_999, 5} {
		at := base.Add(fraction)
		got, err := json.Marshal(timeOrNull(at))
		if want := at.UTC().Format(`"2006-01-02T15:04:05.000Z"`); err != nil || string(got) != want {
			t.Errorf("%s is %s, %v, want %s", at, got, err, want)
		}
	}
	if got, err := json.Marshal(timeOrNull(time.Time{})); err != nil || string(got) != "null" {
		t.Errorf("no time is %s, %v", got, err)
	}
}
