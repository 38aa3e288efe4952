// Package webhook reads, changes and deletes the webhooks of organizations. Command, HTTP API and
// page all call its Service, so that each rule is written once.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Service reads, changes and deletes webhooks.
type Service struct {
	store  *store.Store
	policy *address.Policy
	now    func() time.Time
}

// NewService returns the service over st. The policy says which URLs may be saved.
func NewService(st *store.Store, policy *address.Policy) *Service {
	return &Service{store: st, policy: policy, now: time.Now}
}

// Change says what to change; a nil member stays as it is.
type Change struct {
	URL    *string
	Secret *string // empty: remove it
	Active *bool   // a new webhook is active if this is nil
}

// Get returns the webhook of org, or ErrNotFound.
func (s *Service) Get(ctx context.Context, org string) (Webhook, error) {
	if err := config.CheckOrg(org); err != nil {
		return Webhook{}, err
	}
	h := s.store.ReadHashes(ctx, s.store.Names().Webhook(org))[0]
	switch {
	case h.Err != nil:
		return Webhook{}, fmt.Errorf("reading the webhook: %w", h.Err)
	case len(h.Fields) > 0:
		return FromHash(org, h.Fields), nil
	case !h.Initialized:
		return Webhook{}, store.ErrNotInitialized
	}
	return Webhook{}, ErrNotFound
}

// setScript changes a webhook in one step and replies with its fields, on a full Redis too, so that
// a webhook can be switched off there. It replies false if the store is not initialized, or if the
// webhook must exist and does not.
//
// Further ARGV: 5 whether it must exist (1 or 0), 6 now, 7 to 9 the names of the fields created_at,
// updated_at and active, then pairs of a field and its value; an empty value removes the field.
var setScript = store.NewChangeScript(`
if not initialized() then return false end
local new = redis.call('EXISTS', KEYS[1]) == 0
if new and ARGV[5] == '1' then return false end
allow_when_full(KEYS[1])
for i = 10, #ARGV, 2 do
  if ARGV[i+1] == '' then redis.call('HDEL', KEYS[1], ARGV[i]) else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1]) end
end
redis.call('HSETNX', KEYS[1], ARGV[9], new and '1' or '0')
redis.call('HSETNX', KEYS[1], ARGV[7], ARGV[6])
redis.call('HSET', KEYS[1], ARGV[8], ARGV[6])
publish_change()
return redis.call('HGETALL', KEYS[1])`)

// Set creates or changes the webhook of org. With mustExist (PATCH, enable, disable), a missing
// webhook is ErrNotFound. Without it (PUT, webhook set), the URL is required.
func (s *Service) Set(ctx context.Context, org string, c Change, mustExist bool) (Webhook, error) {
	fields, err := s.check(org, c, mustExist)
	if err != nil {
		return Webhook{}, err
	}
	if s.store.Cluster() { // the script cannot read the marker there
		if err := s.store.Initialized(ctx); err != nil {
			return Webhook{}, err
		}
	}
	exist := 0
	if mustExist {
		exist = 1
	}
	args := append([]any{
		exist, store.FormatTime(s.now()), store.WebhookCreatedAt, store.WebhookUpdatedAt, store.WebhookActive,
	}, fields...)
	reply, err := s.store.RunAndPublish(ctx, setScript, s.change(org,
		"the webhook is changed, but running dispatchers were not told and may use the former one for up to 60 s; change it again",
	), args...)
	if errors.Is(err, redis.Nil) {
		if !mustExist {
			return Webhook{}, store.ErrNotInitialized
		}
		return Webhook{}, s.notFound(ctx)
	}
	if err != nil {
		return Webhook{}, fmt.Errorf("writing the webhook: %w", err)
	}
	return FromHash(org, store.HashFields(reply)), nil
}

// check checks a change and returns its fields and values.
func (s *Service) check(org string, c Change, mustExist bool) ([]any, error) {
	if err := config.CheckOrg(org); err != nil {
		return nil, err
	}
	var fields []any
	switch {
	case c.URL != nil:
		if err := s.policy.CheckURL(*c.URL); err != nil {
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

// deleteScript deletes a webhook, on a full Redis too, and replies whether it existed.
var deleteScript = store.NewChangeScript(`
local existed = redis.call('DEL', KEYS[1])
publish_change()
return existed`)

// Delete deletes the webhook of org, or returns ErrNotFound. The change is published in both cases,
// because an earlier try may have been cut off between the two.
func (s *Service) Delete(ctx context.Context, org string) error {
	if err := config.CheckOrg(org); err != nil {
		return err
	}
	existed, err := s.store.RunAndPublish(ctx, deleteScript, s.change(org,
		"the webhook is deleted, but running dispatchers were not told and may use it for up to 60 s; delete it again",
	))
	if err != nil {
		return fmt.Errorf("deleting the webhook: %w", err)
	}
	if existed == int64(0) {
		return s.notFound(ctx)
	}
	return nil
}

func (s *Service) change(org, unpublished string) store.Change {
	return store.Change{
		Record: s.store.Names().Webhook(org), Field: store.ChangeWebhook, Value: org, Unpublished: unpublished,
	}
}

// notFound returns ErrNotFound, or store.ErrNotInitialized: in a store without its marker every
// webhook seems missing.
func (s *Service) notFound(ctx context.Context) error {
	if err := s.store.Initialized(ctx); err != nil {
		return err
	}
	return ErrNotFound
}
