package dispatcher

import (
	"sync"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// skip returns the outcome of an event whose organization has no active webhook.
func skip(hook webhook.Webhook, now time.Time) outcome {
	if hook.URL == "" && hook.CreatedAt.IsZero() {
		return outcome{kind: skipped, detail: queue.SkippedNoWebhook, decidedAt: now}
	}
	return outcome{kind: skipped, detail: queue.SkippedInactive, decidedAt: now}
}

// Every event that an inactive webhook has skipped is in the delivery log. Of an organization
// without a webhook only one a day is: its producers may publish whatever happens, and the delivery
// logs of all such organizations would fill Redis for readers that do not exist.
const (
	noWebhookEvery = 24 * time.Hour
	noWebhookOrgs  = 10_000
)

// skippedLog decides which skipped events are in the delivery log.
type skippedLog struct {
	mu sync.Mutex
	at map[string]time.Time // by organization without a webhook: its last line
}

// wants reports whether the delivery log gets a line of a skipped event.
func (l *skippedLog) wants(org string, o outcome) bool {
	if o.detail != queue.SkippedNoWebhook {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, known := l.at[org]; known && o.decidedAt.Sub(last) < noWebhookEvery {
		return false
	}
	if len(l.at) >= noWebhookOrgs {
		clear(l.at)
	}
	l.at[org] = o.decidedAt
	return true
}
