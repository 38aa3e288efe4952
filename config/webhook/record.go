package webhook

import (
	"net/http"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Webhook says where the events of an organization are delivered.
type Webhook struct {
	OrgID     string
	URL       string
	Secret    Secret // empty: deliveries are not signed
	Active    bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// ErrNotFound says that the organization has no webhook.
var ErrNotFound = &problem.Error{
	Status: http.StatusNotFound, Code: "webhook_not_found", Detail: "no webhook is configured",
}

// FromHash reads the record of a webhook from its Redis hash. Other programs may have written it: a
// record whose active is not "1" is inactive, and the URL is not checked here.
func FromHash(org string, fields map[string]string) Webhook {
	w := Webhook{
		OrgID:  org,
		URL:    fields[store.WebhookURL],
		Secret: NewSecret(fields[store.WebhookSecret]),
		Active: fields[store.WebhookActive] == "1",
	}
	w.CreatedAt, _ = store.ParseTime(fields[store.WebhookCreatedAt]) // shown, never relied on
	w.UpdatedAt, _ = store.ParseTime(fields[store.WebhookUpdatedAt])
	return w
}
