package config

// This file revokes keys: always, also where the marker is missing and where Redis is full, and for good.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Replicated says whether a revocation was seen to reach a replica.
type Replicated int

// What `keys revoke` says of replicas (specification.md, section 4).
const (
	NoReplica    Replicated = iota // there is none
	OnReplica                      // one has it
	NotOnReplica                   // none confirmed within a second
)

// String is the word for it that the API and the commands have.
func (r Replicated) String() string {
	switch r {
	case OnReplica:
		return "confirmed"
	case NotOnReplica:
		return "unconfirmed"
	case NoReplica:
	}
	return "none"
}

// replicaWait is how long a revocation waits for a replica.
const replicaWait = time.Second

// revokeKey marks a key as revoked unless it is, and tells its fields. The stream of changes is touched only where it is a key of the call
// (in a Cluster it is not).
//
// KEYS: key[, changes]. ARGV: id, organization or nothing, now, hash, cap of changes, names of the fields id, org_id, revoked_at, change.
var revokeKey = redis.NewScript(lib + `
evenWhereFull(KEYS[1])
local have = redis.call('HMGET', KEYS[1], ARGV[6], ARGV[7], ARGV[8])
if have[1] ~= ARGV[1] then return {} end
if ARGV[2] ~= '' and have[2] ~= ARGV[2] then return {} end
if not have[3] or have[3] == '' then redis.call('HSET', KEYS[1], ARGV[8], ARGV[3]) end
if KEYS[2] then announce(KEYS[2], ARGV[5], ARGV[9], ARGV[4]) end
return redis.call('HGETALL', KEYS[1])`)

// Revoke revokes the key with that id, for good. Revoking again announces again and changes nothing else. Where org is not empty, a
// key of another organization is as unknown as any.
func (k *Keys) Revoke(ctx context.Context, org, id string) (Key, Replicated, error) {
	if !ValidID(id) || org != "" && !ValidID(org) {
		return Key{}, NoReplica, ErrKeyNotFound
	}
	hash, err := k.find(ctx, org, id)
	if err != nil {
		return Key{}, NoReplica, err
	}
	names := k.store.Names()
	keys := []string{names.Key(hash), names.Changes()}
	if k.store.Cluster() {
		keys = keys[:1]
	}
	answer, err := revokeKey.Run(ctx, k.store.Client(), keys, id, org, store.FormatTime(k.now()), hash, store.ChangesMaxLen,
		store.KeyID, store.KeyOrgID, store.KeyRevokedAt, store.ChangeKey).StringSlice()
	if err != nil {
		return Key{}, NoReplica, fmt.Errorf("revoking the key: %w", err)
	}
	if len(answer) == 0 {
		return Key{}, NoReplica, k.notFound(ctx)
	}
	fields := make(map[string]string, len(answer)/2)
	for i := 0; i+1 < len(answer); i += 2 {
		fields[answer[i]] = answer[i+1]
	}
	if k.store.Cluster() {
		if err := announce(ctx, k.store, store.ChangeKey, hash); err != nil {
			return Key{}, NoReplica, notAnnounced("the key is revoked, but running gateways were not told and may admit it for up to 60 s; revoke it again", err)
		}
	}
	key, _ := KeyFromHash(fields) // whatever is wrong with it: of a revoked key there is no error
	return key, k.replicated(ctx, keys[0]), nil
}

// find returns the hash of the key with that id. A key made elsewhere may have no entry by its id; where the organization is known, its
// index is searched.
func (k *Keys) find(ctx context.Context, org, id string) (string, error) {
	hash, err := k.store.Client().Get(ctx, k.store.Names().KeyByID(id)).Result()
	if err == nil {
		return hash, nil
	}
	if !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("looking for the key: %w", err)
	}
	if org != "" {
		if hash, err = k.search(ctx, org, id); err != nil || hash != "" {
			return hash, err
		}
	}
	return "", k.notFound(ctx)
}

func (k *Keys) search(ctx context.Context, org, id string) (string, error) {
	const chunk = 500
	names, client := k.store.Names(), k.store.Client()
	for at := int64(0); ; at += chunk {
		hashes, err := client.ZRevRange(ctx, names.OrgKeys(org), at, at+chunk-1).Result()
		if err != nil {
			return "", fmt.Errorf("looking for the key: %w", err)
		}
		ids := make([]*redis.StringCmd, len(hashes))
		pipe := client.Pipeline()
		for i, h := range hashes {
			ids[i] = pipe.HGet(ctx, names.Key(h), store.KeyID)
		}
		_, _ = pipe.Exec(ctx) // each command has its own error
		for i, h := range hashes {
			got, err := ids[i].Result()
			if err != nil && !errors.Is(err, redis.Nil) {
				return "", fmt.Errorf("looking for the key: %w", err)
			}
			if got == id {
				return h, nil
			}
		}
		if len(hashes) < chunk {
			return "", nil
		}
	}
}

// notFound is ErrKeyNotFound, unless nothing can be said: in a store without its marker every key seems unknown.
func (k *Keys) notFound(ctx context.Context) error {
	if err := k.store.Initialized(ctx); err != nil {
		return err
	}
	return ErrKeyNotFound
}

// writeAgain writes a revocation over itself and says whether it was there. HSET counts as a write, and is sent to replicas, also where it
// changes nothing. KEYS: key. ARGV: name of the field.
var writeAgain = redis.NewScript(lib + `
local at = redis.call('HGET', KEYS[1], ARGV[1])
if not at or at == '' then return 0 end
evenWhereFull(KEYS[1])
redis.call('HSET', KEYS[1], ARGV[1], at)
return 1`)

// replicated waits until a replica has the revocation of a key, where the server says that it has one. WAIT answers for the last write of
// its own connection (since Redis 7.2 for nothing else), and replicas take writes in their order: so the connection that waits writes the
// revocation once more. That is not left to the connection that revoked, since in a Cluster it is found by following redirections.
func (k *Keys) replicated(ctx context.Context, key string) Replicated {
	var primary *redis.Client
	switch c := k.store.Client().(type) {
	case *redis.Client:
		primary = c
	case *redis.ClusterClient:
		node, err := c.MasterForKey(ctx, key)
		if err != nil {
			return NotOnReplica
		}
		primary = node
	}
	conn := primary.Conn() // one connection until it is closed
	defer func() { _ = conn.Close() }()
	info, err := conn.Info(ctx, "replication").Result()
	if _, refused := errors.AsType[redis.Error](err); err != nil && !refused {
		return NotOnReplica
	}
	if n := store.InfoField(info, "connected_slaves"); n == "" || n == "0" {
		return NoReplica // also where the server does not let us see, or is none that has replicas
	}
	if there, err := writeAgain.Run(ctx, conn, []string{key}, store.KeyRevokedAt).Int(); err != nil || there == 0 {
		return NotOnReplica // as after a failover that undid it
	}
	n, err := conn.Wait(ctx, 1, replicaWait).Result()
	if err != nil || n == 0 {
		return NotOnReplica
	}
	return OnReplica
}
