// Package apikey creates, lists and revokes API keys, and knows their form. Command, HTTP API and
// page all call its Service, so that each rule is written once.
package apikey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Service creates, lists and revokes API keys.
type Service struct {
	store *store.Store
	now   func() time.Time
}

// NewService returns the service over st.
func NewService(st *store.Store) *Service { return &Service{store: st, now: time.Now} }

// Params is what the creator of a key chooses.
type Params struct {
	Name      string
	ExpiresAt time.Time // zero: never
}

// Created is a key that was just created, with the only copy of its secret.
type Created struct {
	Key
	Secret string // the whole key; show it once and forget it
}

// Listed is a key with its usage.
type Listed struct {
	Key
	Usage
	Status string
}

// createScript writes a key in one step if the store is initialized. The index and the id are
// written first, so that a type error that cuts the script off never leaves a key that works and
// cannot be revoked.
//
// Further KEYS: 4 index, 5 key-id. Further ARGV: 5 hash, 6 score, then the fields of the key.
var createScript = store.NewChangeScript(`
if not initialized() then return false end
redis.call('ZADD', KEYS[4], ARGV[6], ARGV[5])
redis.call('SET', KEYS[5], ARGV[5])
redis.call('HSET', KEYS[1], unpack(ARGV, 7))
publish_change()
return 1`)

// Create creates a key of org. If the reply of Redis is lost, the key may exist although nobody has
// its secret; it is listed and can be revoked.
func (s *Service) Create(ctx context.Context, org string, p Params) (Created, error) {
	p.Name = strings.TrimSpace(p.Name)
	now := s.now()
	if err := config.CheckOrg(org); err != nil {
		return Created{}, err
	}
	switch {
	case p.Name == "":
		return Created{}, problem.Invalid(store.KeyName, "missing_name", "the key needs a name")
	case !validName(p.Name):
		return Created{}, problem.Invalid(store.KeyName, "invalid_name", "the name must be 1 to 100 printable characters")
	}
	if !p.ExpiresAt.IsZero() {
		if err := checkExpiry(p.ExpiresAt, now); err != nil {
			return Created{}, err
		}
	}
	secret := Generate(nil)
	created := Created{Secret: secret, Key: Key{
		ID:        newID(),
		OrgID:     org,
		Name:      p.Name,
		Hint:      hintOf(secret),
		CreatedAt: now.UTC().Truncate(time.Millisecond),
		ExpiresAt: p.ExpiresAt,
	}}
	if !p.ExpiresAt.IsZero() {
		created.ExpiresAt = p.ExpiresAt.UTC().Truncate(time.Millisecond)
	}
	if err := s.write(ctx, created.Key, Hash(secret)); err != nil {
		return Created{}, err
	}
	return created, nil
}

func (s *Service) write(ctx context.Context, key Key, hash string) error {
	names := s.store.Names()
	fields := []any{
		store.KeyID, key.ID, store.KeyOrgID, key.OrgID, store.KeyName, key.Name, store.KeyHint, key.Hint,
		store.KeyCreatedAt, store.FormatTime(key.CreatedAt),
	}
	if !key.ExpiresAt.IsZero() {
		fields = append(fields, store.KeyExpiresAt, store.FormatTime(key.ExpiresAt))
	}
	score := key.CreatedAt.UnixMilli()
	if s.store.Cluster() {
		return s.writeInCluster(ctx, key, hash, score, fields)
	}
	_, err := s.store.RunAndPublish(ctx, createScript, store.Change{
		Record: names.Key(hash), Field: store.ChangeKey, Value: hash,
		More: []string{names.OrgKeys(key.OrgID), names.KeyByID(key.ID)},
	}, append([]any{hash, score}, fields...)...)
	if errors.Is(err, redis.Nil) {
		return store.ErrNotInitialized
	}
	if err != nil {
		return fmt.Errorf("writing the key: %w", err)
	}
	return nil
}

// writeInCluster writes slot by slot. If it is cut off after the index, the entry there has no
// record, and lists skip it. After the id, the id leads nowhere. After the record, the key works
// from its first use on: a gateway that has cached its absence learns of it within seconds anyway.
func (s *Service) writeInCluster(ctx context.Context, key Key, hash string, score int64, fields []any) error {
	if err := s.store.Initialized(ctx); err != nil {
		return err
	}
	names, client := s.store.Names(), s.store.Client()
	steps := []func() error{
		func() error {
			return client.ZAdd(ctx, names.OrgKeys(key.OrgID), redis.Z{Score: float64(score), Member: hash}).Err()
		},
		func() error { return client.SetNX(ctx, names.KeyByID(key.ID), hash, 0).Err() },
		func() error { return client.HSet(ctx, names.Key(hash), fields...).Err() },
		func() error { return s.store.PublishChange(ctx, store.ChangeKey, hash) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("writing the key: %w", err)
		}
	}
	return nil
}

// newID returns a random id for a key, with some 119 random bits.
func newID() string { return "key_" + randomBase62(rand.Reader, 20) }
