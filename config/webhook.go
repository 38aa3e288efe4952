package config

import (
	"net/http"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Webhook is an organization's webhook: where its events are delivered.
type Webhook struct {
	OrgID     string
	URL       string
	Secret    Secret // empty: deliveries are not signed
	Active    bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// WebhookFromHash reads a webhook's record as it stands in Redis. Records may be written elsewhere: one whose active is not "1" is
// inactive; what url holds is not judged here.
func WebhookFromHash(org string, fields map[string]string) Webhook {
	w := Webhook{
		OrgID:  org,
		URL:    fields[store.WebhookURL],
		Secret: NewSecret(fields[store.WebhookSecret]),
		Active: fields[store.WebhookActive] == "1",
	}
	w.CreatedAt, _ = readTime(fields[store.WebhookCreatedAt]) // for show only
	w.UpdatedAt, _ = readTime(fields[store.WebhookUpdatedAt])
	return w
}

// ErrWebhookNotFound says that the organization has no webhook.
var ErrWebhookNotFound = &problem.Error{Status: http.StatusNotFound, Code: "webhook_not_found", Detail: "no webhook is configured"}
