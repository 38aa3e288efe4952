package apimodel

import (
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

// Webhook is a webhook without its secret.
type Webhook struct {
	OrgID     string `json:"org_id"`
	URL       string `json:"url"`
	HasSecret bool   `json:"has_secret"`
	Active    bool   `json:"active"`
	CreatedAt *Time  `json:"created_at"`
	UpdatedAt *Time  `json:"updated_at"`
}

// WebhookOf converts a webhook.
func WebhookOf(h webhook.Webhook) Webhook {
	return Webhook{
		OrgID: h.OrgID, URL: h.URL, HasSecret: h.Secret.IsSet(), Active: h.Active,
		CreatedAt: timeOrNull(h.CreatedAt), UpdatedAt: timeOrNull(h.UpdatedAt),
	}
}

// Test is the result of a test attempt.
type Test struct {
	Acknowledged bool    `json:"acknowledged"`
	Status       *int    `json:"status"`
	Error        *string `json:"error"`
	DurationMS   int64   `json:"duration_ms"`
}

// TestOf converts the result of a test attempt.
func TestOf(r dispatcher.TestResult) Test {
	return Test{
		Acknowledged: r.Acknowledged, Status: orNull(r.Status), Error: orNull(r.Error), DurationMS: r.Duration.Milliseconds(),
	}
}
