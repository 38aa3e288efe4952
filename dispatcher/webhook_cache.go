package dispatcher

import (
	"context"
	"errors"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/cache"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
)

const (
	// webhookTTL is how long a webhook's settings are trusted, counted from before the read
	// (specification.md, section 6).
	webhookTTL = 60 * time.Second
	// webhookReadTimeout bounds one read of webhooks.
	webhookReadTimeout = 2 * time.Second
)

// errNoMarker is the error of reading an absent webhook while the schema marker is missing: Redis
// may have lost its data, so the absence says nothing.
var errNoMarker = errors.New("the schema marker is missing")

// webhookCache holds the webhooks of the organizations that have events. Package cache states the
// invariants. It implements changes.WebhookHandler.
type webhookCache struct {
	webhooks *cache.ReadThrough[string, webhook.Webhook] // by organization
}

func newWebhookCache(st *store.Store) *webhookCache {
	return webhookCacheOver(st.ReadHashes, st.Names())
}

// webhookCacheOver is newWebhookCache over any source of hashes.
func webhookCacheOver(readHashes func(ctx context.Context, keys ...string) []store.Hash, names store.Names) *webhookCache {
	return &webhookCache{cache.NewReadThrough(webhookTTL, func(ctx context.Context, orgs []string) []cache.Answer[webhook.Webhook] {
		ctx, cancel := context.WithTimeout(ctx, webhookReadTimeout)
		defer cancel()
		keys := make([]string, len(orgs))
		for i, org := range orgs {
			keys[i] = names.Webhook(org)
		}
		answers := make([]cache.Answer[webhook.Webhook], len(orgs))
		for i, hash := range readHashes(ctx, keys...) {
			answers[i].Value, answers[i].Err = webhookOf(orgs[i], hash)
		}
		return answers
	})}
}

// webhookOf returns the webhook that an answer of Redis describes. Where the organization has none,
// it is one that is not active.
func webhookOf(org string, hash store.Hash) (webhook.Webhook, error) {
	switch {
	case hash.Err != nil:
		return webhook.Webhook{}, hash.Err
	case len(hash.Fields) > 0:
		return webhook.FromHash(org, hash.Fields), nil
	case !hash.Initialized:
		return webhook.Webhook{}, errNoMarker
	}
	return webhook.Webhook{OrgID: org}, nil
}

// get returns the webhook of org. Active is false where there is none. The error is that of a read
// that got no answer.
func (c *webhookCache) get(ctx context.Context, org string) (webhook.Webhook, error) {
	return c.webhooks.Get(ctx, org)
}

// prefetch reads, in one pipeline, the webhooks of orgs that are neither held nor being read.
func (c *webhookCache) prefetch(ctx context.Context, orgs []string) { c.webhooks.Prefetch(ctx, orgs) }

// sweep removes the webhooks that are too old to be used.
func (c *webhookCache) sweep() { c.webhooks.Sweep() }

// WebhookChanged drops the organization's webhook. It implements changes.WebhookHandler.
func (c *webhookCache) WebhookChanged(org string, _ time.Time) { c.webhooks.Forget(org) }

// Gap makes every webhook be read again before its next use. It implements changes.WebhookHandler.
func (c *webhookCache) Gap() { c.webhooks.Gap() }
