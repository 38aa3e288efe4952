package config

import (
	"context"
	"errors"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/address"
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

// Secret is a webhook's secret. It prints, logs and marshals as "[redacted]"; Reveal gives it away.
type Secret struct{ value string }

// NewSecret wraps a secret.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return s.value }

// IsSet says whether there is a secret.
func (s Secret) IsSet() bool { return s.value != "" }

// Webhooks is the service behind everything that reads and changes webhooks.
type Webhooks struct {
	store  *store.Store
	policy *address.Policy
	now    func() time.Time
}

// NewWebhooks returns the service over st; policy says which URLs may be saved.
func NewWebhooks(st *store.Store, policy *address.Policy) *Webhooks {
	return &Webhooks{store: st, policy: policy, now: time.Now}
}

// WebhookChange says what to change; nil leaves a member as it is.
type WebhookChange struct {
	URL    *string
	Secret *string // empty: remove it
	Active *bool   // where the webhook is new and this is nil: active
}

// Get returns the webhook of org, or ErrWebhookNotFound.
func (w *Webhooks) Get(ctx context.Context, org string) (Webhook, error) {
	return Webhook{}, errors.New("not built yet")
}

// Set creates or changes the webhook of org. With mustExist (PATCH, enable, disable) one that is not there is ErrWebhookNotFound;
// without it (PUT, webhook set) URL is required.
func (w *Webhooks) Set(ctx context.Context, org string, c WebhookChange, mustExist bool) (Webhook, error) {
	return Webhook{}, errors.New("not built yet")
}

// Delete removes the webhook of org, or returns ErrWebhookNotFound.
func (w *Webhooks) Delete(ctx context.Context, org string) error { return errors.New("not built yet") }

// GenerateSecret returns a new `whsec_` secret of 32 random bytes.
func GenerateSecret() string { return "" }

// WebhookFromHash reads a webhook's record as it stands in Redis. Records may be written elsewhere: one whose active is not "1" is
// inactive; what url holds is not judged here.
func WebhookFromHash(org string, fields map[string]string) Webhook { return Webhook{OrgID: org} }
