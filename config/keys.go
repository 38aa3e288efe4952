package config

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Keys is the service behind everything that creates, lists and revokes API keys.
type Keys struct {
	store *store.Store
	now   func() time.Time
}

// NewKeys returns the service over st.
func NewKeys(st *store.Store) *Keys { return &Keys{store: st, now: time.Now} }

// NewKey is the wish for a key.
type NewKey struct {
	Name      string
	ExpiresAt time.Time // zero: never
}

// CreatedKey is a key just made, with the only copy of its secret text.
type CreatedKey struct {
	Key
	Secret string // the whole key; show it once and forget it
}

// ListedKey is a key with its use.
type ListedKey struct {
	Key
	Usage
	Status string
}

// createKey writes a key in one step where the marker is. Its index and its id go first, so that what a type error cuts off is never a key
// that works and cannot be revoked.
//
// KEYS: schema, index, key-id, key, changes. ARGV: schema version, hash, score, cap of changes, change field, then the fields of the key.
var createKey = redis.NewScript(lib + `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
redis.call('SET', KEYS[3], ARGV[2])
redis.call('HSET', KEYS[4], unpack(ARGV, 6))
announce(KEYS[5], ARGV[4], ARGV[5], ARGV[2])
return 1`)

// Create makes a key of org. Where the answer of Redis is lost, a key may have been made whose text nobody knows; it is listed and can be
// revoked.
func (k *Keys) Create(ctx context.Context, org string, n NewKey) (CreatedKey, error) {
	n.Name = strings.TrimSpace(n.Name)
	now := k.now()
	if err := CheckOrg(org); err != nil {
		return CreatedKey{}, err
	}
	switch {
	case n.Name == "":
		return CreatedKey{}, problem.Invalid(store.KeyName, "missing_name", "the key needs a name")
	case !validName(n.Name):
		return CreatedKey{}, problem.Invalid(store.KeyName, "invalid_name", "the name must be 1 to 100 printable characters")
	}
	if !n.ExpiresAt.IsZero() {
		if err := checkExpiry(n.ExpiresAt, now); err != nil {
			return CreatedKey{}, err
		}
	}
	secret := GenerateKey(nil)
	created := CreatedKey{Secret: secret, Key: Key{
		ID:        newID(),
		OrgID:     org,
		Name:      n.Name,
		Hint:      hintOf(secret),
		CreatedAt: now.UTC().Truncate(time.Millisecond),
		ExpiresAt: n.ExpiresAt,
	}}
	if !n.ExpiresAt.IsZero() {
		created.ExpiresAt = n.ExpiresAt.UTC().Truncate(time.Millisecond)
	}
	if err := k.write(ctx, created.Key, HashKey(secret)); err != nil {
		return CreatedKey{}, err
	}
	return created, nil
}

func (k *Keys) write(ctx context.Context, key Key, hash string) error {
	names := k.store.Names()
	fields := []any{
		store.KeyID, key.ID, store.KeyOrgID, key.OrgID, store.KeyName, key.Name, store.KeyHint, key.Hint,
		store.KeyCreatedAt, store.FormatTime(key.CreatedAt),
	}
	if !key.ExpiresAt.IsZero() {
		fields = append(fields, store.KeyExpiresAt, store.FormatTime(key.ExpiresAt))
	}
	score := key.CreatedAt.UnixMilli()
	if k.store.Cluster() {
		return k.writeInCluster(ctx, key, hash, score, fields)
	}
	args := append([]any{store.SchemaVersion, hash, score, store.ChangesMaxLen, store.ChangeKey}, fields...)
	written, err := createKey.Run(ctx, k.store.Client(), []string{
		names.Schema(), names.OrgKeys(key.OrgID), names.KeyByID(key.ID), names.Key(hash), names.Changes(),
	}, args...).Int()
	if err != nil {
		return fmt.Errorf("writing the key: %w", err)
	}
	if written == 0 {
		return store.ErrNotInitialized
	}
	return nil
}

// writeInCluster writes slot by slot. Cut off after the index it leaves an entry without a record, which lists skip; after the id one that
// leads nowhere; after the key one that works from its first use on, since who asked before is told within seconds all the same.
func (k *Keys) writeInCluster(ctx context.Context, key Key, hash string, score int64, fields []any) error {
	if err := k.store.Initialized(ctx); err != nil {
		return err
	}
	names, client := k.store.Names(), k.store.Client()
	steps := []func() error{
		func() error {
			return client.ZAdd(ctx, names.OrgKeys(key.OrgID), redis.Z{Score: float64(score), Member: hash}).Err()
		},
		func() error { return client.SetNX(ctx, names.KeyByID(key.ID), hash, 0).Err() },
		func() error { return client.HSet(ctx, names.Key(hash), fields...).Err() },
		func() error { return announce(ctx, k.store, store.ChangeKey, hash) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("writing the key: %w", err)
		}
	}
	return nil
}
