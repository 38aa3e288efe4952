package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
)

// Event is an event to publish.
type Event struct {
	Name    string // the event's type, such as "note.finalized"
	OrgID   string
	ID      string // the event's own id; where empty, its stream id, and it is not deduplicated
	Payload []byte // JSON text
}

// Publish adds an event to the stream. It returns the id that its deliveries will carry as
// Webhook-Id: e.ID, or the stream id. Its errors are *problem.Error where a rule refuses the event.
// Whether the payload fits the event is checked when it is delivered.
func (q *Queue) Publish(ctx context.Context, e Event) (id string, err error) {
	if err := e.check(); err != nil {
		return "", err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	if err := q.store.Initialized(ctx); err != nil {
		return "", managementError(err)
	}
	values := []any{store.EventName, e.Name, store.EventOrgID, e.OrgID, store.EventPayload, e.Payload}
	if e.ID != "" {
		values = append(values, store.EventID, e.ID)
	}
	entry, err := q.store.Client().XAdd(ctx, &redis.XAddArgs{Stream: q.names.Events(), Values: values}).Result()
	if err != nil {
		return "", managementError(err)
	}
	if e.ID != "" {
		return e.ID, nil
	}
	return entry, nil
}

// Warning is why a published event may not be delivered.
type Warning struct {
	Code   string // one of the constants below
	Detail string // a sentence
}

// The codes of warnings.
const (
	WarningUndocumentedEvent = "undocumented_event"
	WarningWebhookInactive   = "webhook_inactive"
)

// Warnings returns why e may not be delivered as things are now, for whoever published it: a
// mistyped event or organization is no error, since dispatchers may know the event and the webhook
// may yet come. A webhook that cannot be read gives no warning.
func (q *Queue) Warnings(ctx context.Context, e Event) (warnings []Warning) {
	if !slices.Contains(payload.Events(), e.Name) {
		warnings = append(warnings, Warning{WarningUndocumentedEvent, fmt.Sprintf(
			"%s is not a documented event; it is delivered only where pass_event names it", e.Name)})
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	webhook := q.store.ReadHashes(ctx, q.names.Webhook(e.OrgID))[0]
	if webhook.Err == nil && webhook.Fields[store.WebhookActive] != "1" {
		warnings = append(warnings, Warning{WarningWebhookInactive, fmt.Sprintf(
			"%s has no active webhook; the event will be skipped", e.OrgID)})
	}
	return warnings
}

func (e Event) check() error {
	if err := config.CheckOrg(e.OrgID); err != nil {
		return err
	}
	if e.ID != "" {
		if err := config.CheckEventID(e.ID); err != nil {
			return err
		}
	}
	switch {
	case e.Name == "":
		return problem.Invalid("event", "missing_event", "name the event, such as note.finalized")
	case len(e.Name) > 128 || strings.ContainsFunc(e.Name, unicode.IsControl):
		return problem.Invalid("event", "invalid_event", "the name of the event must be at most 128 characters long, none of them a control character")
	case !json.Valid(e.Payload) || !bytes.HasPrefix(bytes.TrimLeft(e.Payload, " \t\r\n"), []byte("{")):
		return problem.Invalid("payload", "invalid_payload", "the payload must be a JSON object")
	}
	return nil
}
