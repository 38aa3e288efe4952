package config

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

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
	if err := CheckOrg(org); err != nil {
		return Webhook{}, err
	}
	h := w.store.ReadHashes(ctx, w.store.Names().Webhook(org))[0]
	switch {
	case h.Err != nil:
		return Webhook{}, fmt.Errorf("reading the webhook: %w", h.Err)
	case len(h.Fields) > 0:
		return WebhookFromHash(org, h.Fields), nil
	case !h.Initialized:
		return Webhook{}, store.ErrNotInitialized
	}
	return Webhook{}, ErrWebhookNotFound
}

// setWebhook changes a webhook in one step and tells its fields; in a full Redis too, so that one can be switched off there. The marker and
// the stream of changes are touched only where they are keys of the call (in a Cluster they are not).
//
// KEYS: webhook[, schema, changes]. ARGV: schema version, must it exist (1 or 0), now, organization, cap of changes, change field, names
// of the fields created_at, updated_at, active, then pairs of a field and its value, where an empty value removes the field.
var setWebhook = redis.NewScript(lib + `
if KEYS[2] and redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'unmarked'} end
local new = redis.call('EXISTS', KEYS[1]) == 0
if new and ARGV[2] == '1' then return {'absent'} end
evenWhereFull(KEYS[1])
for i = 10, #ARGV, 2 do
  if ARGV[i+1] == '' then redis.call('HDEL', KEYS[1], ARGV[i]) else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1]) end
end
redis.call('HSETNX', KEYS[1], ARGV[9], new and '1' or '0')
redis.call('HSETNX', KEYS[1], ARGV[7], ARGV[3])
redis.call('HSET', KEYS[1], ARGV[8], ARGV[3])
if KEYS[3] then announce(KEYS[3], ARGV[5], ARGV[6], ARGV[4]) end
return redis.call('HGETALL', KEYS[1])`)

// Set creates or changes the webhook of org. With mustExist (PATCH, enable, disable) one that is not there is ErrWebhookNotFound;
// without it (PUT, webhook set) URL is required.
func (w *Webhooks) Set(ctx context.Context, org string, c WebhookChange, mustExist bool) (Webhook, error) {
	fields, err := w.check(org, c, mustExist)
	if err != nil {
		return Webhook{}, err
	}
	names := w.store.Names()
	keys := []string{names.Webhook(org), names.Schema(), names.Changes()}
	exist := "0"
	if mustExist {
		exist = "1"
	}
	if w.store.Cluster() {
		if err := w.store.Initialized(ctx); err != nil {
			return Webhook{}, err
		}
		keys = keys[:1]
	}
	args := append([]any{
		store.SchemaVersion, exist, store.FormatTime(w.now()), org, store.ChangesMaxLen, store.ChangeWebhook,
		store.WebhookCreatedAt, store.WebhookUpdatedAt, store.WebhookActive,
	}, fields...)
	answer, err := setWebhook.Run(ctx, w.store.Client(), keys, args...).StringSlice()
	if err != nil {
		return Webhook{}, fmt.Errorf("writing the webhook: %w", err)
	}
	if len(answer) == 1 {
		if answer[0] == "absent" {
			return Webhook{}, ErrWebhookNotFound
		}
		return Webhook{}, store.ErrNotInitialized
	}
	if w.store.Cluster() {
		if err := announce(ctx, w.store, store.ChangeWebhook, org); err != nil {
			return Webhook{}, notAnnounced("the webhook is changed, but running dispatchers were not told and may use the former one for up to 60 s; change it again", err)
		}
	}
	written := make(map[string]string, len(answer)/2)
	for i := 0; i+1 < len(answer); i += 2 {
		written[answer[i]] = answer[i+1]
	}
	return WebhookFromHash(org, written), nil
}

// check judges a change and turns it into fields and values.
func (w *Webhooks) check(org string, c WebhookChange, mustExist bool) ([]any, error) {
	if err := CheckOrg(org); err != nil {
		return nil, err
	}
	var fields []any
	switch {
	case c.URL != nil:
		if err := w.policy.CheckURL(*c.URL); err != nil {
			return nil, problem.Invalid(store.WebhookURL, "invalid_url", err.Error())
		}
		fields = append(fields, store.WebhookURL, *c.URL)
	case !mustExist:
		return nil, problem.Invalid(store.WebhookURL, "missing_url", "the webhook needs a URL")
	}
	if c.Secret != nil {
		if err := checkSecret(*c.Secret); err != nil {
			return nil, err
		}
		fields = append(fields, store.WebhookSecret, *c.Secret)
	}
	if c.Active != nil {
		active := "0"
		if *c.Active {
			active = "1"
		}
		fields = append(fields, store.WebhookActive, active)
	}
	return fields, nil
}

// deleteWebhook works in a full Redis too. KEYS: webhook[, changes]. ARGV: organization, cap of changes, change field.
var deleteWebhook = redis.NewScript(lib + `
local existed = redis.call('DEL', KEYS[1])
if KEYS[2] then announce(KEYS[2], ARGV[2], ARGV[3], ARGV[1]) end
return existed`)

// Delete removes the webhook of org, or returns ErrWebhookNotFound. It is announced either way, in case an earlier try was cut off.
func (w *Webhooks) Delete(ctx context.Context, org string) error {
	if err := CheckOrg(org); err != nil {
		return err
	}
	names := w.store.Names()
	keys := []string{names.Webhook(org), names.Changes()}
	if w.store.Cluster() {
		keys = keys[:1]
	}
	existed, err := deleteWebhook.Run(ctx, w.store.Client(), keys, org, store.ChangesMaxLen, store.ChangeWebhook).Int()
	if err != nil {
		return fmt.Errorf("deleting the webhook: %w", err)
	}
	if w.store.Cluster() {
		if err := announce(ctx, w.store, store.ChangeWebhook, org); err != nil {
			return notAnnounced("the webhook is deleted, but running dispatchers were not told and may use it for up to 60 s; delete it again", err)
		}
	}
	if existed == 0 {
		if err := w.store.Initialized(ctx); err != nil {
			return err
		}
		return ErrWebhookNotFound
	}
	return nil
}
