package apikey

// This file revokes keys, for good. A revocation also works without the marker and on a full Redis.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Replicated says whether a replica has confirmed a revocation.
type Replicated int

// The cases that `keys revoke` tells apart (specification.md, section 4).
const (
	NoReplica    Replicated = iota // there is no replica
	OnReplica                      // a replica has it
	NotOnReplica                   // no replica confirmed it within a second
)

// String returns the word that the API and the commands use.
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

// revokeScript revokes a key unless it is revoked already, and replies with its fields. It replies
// false if the record is not that of the key.
//
// Further ARGV: 5 id, 6 organization or nothing, 7 now, 8 to 10 the names of the fields id, org_id
// and revoked_at.
var revokeScript = store.NewChangeScript(`
allow_when_full(KEYS[1])
local have = redis.call('HMGET', KEYS[1], ARGV[8], ARGV[9], ARGV[10])
if have[1] ~= ARGV[5] then return false end
if ARGV[6] ~= '' and have[2] ~= ARGV[6] then return false end
if not have[3] or have[3] == '' then redis.call('HSET', KEYS[1], ARGV[10], ARGV[7]) end
publish_change()
return redis.call('HGETALL', KEYS[1])`)

// Revoke revokes the key with that id, for good. Revoking a key again publishes the change again
// and changes nothing else. If org is not empty, a key of another organization is ErrNotFound.
func (s *Service) Revoke(ctx context.Context, org, id string) (Key, Replicated, error) {
	if !config.ValidID(id) || org != "" && !config.ValidID(org) {
		return Key{}, NoReplica, ErrNotFound
	}
	hash, err := s.find(ctx, org, id)
	if err != nil {
		return Key{}, NoReplica, err
	}
	record := s.store.Names().Key(hash)
	reply, err := s.store.RunAndPublish(ctx, revokeScript, store.Change{
		Record: record, Field: store.ChangeKey, Value: hash,
		Unpublished: "the key is revoked, but running gateways were not told and may admit it for up to 60 s; revoke it again",
	}, id, org, store.FormatTime(s.now()), store.KeyID, store.KeyOrgID, store.KeyRevokedAt)
	if errors.Is(err, redis.Nil) {
		return Key{}, NoReplica, s.notFound(ctx)
	}
	if err != nil {
		return Key{}, NoReplica, fmt.Errorf("revoking the key: %w", err)
	}
	key, _ := FromHash(store.HashFields(reply)) // a revoked key never has an error
	return key, s.replicated(ctx, record), nil
}

// find returns the hash of the key with that id. A key that was created elsewhere may have no
// key-id entry; if the organization is known, its index is searched.
func (s *Service) find(ctx context.Context, org, id string) (string, error) {
	hash, err := s.store.Client().Get(ctx, s.store.Names().KeyByID(id)).Result()
	if err == nil {
		return hash, nil
	}
	if !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("looking for the key: %w", err)
	}
	if org != "" {
		if hash, err = s.search(ctx, org, id); err != nil || hash != "" {
			return hash, err
		}
	}
	return "", s.notFound(ctx)
}

func (s *Service) search(ctx context.Context, org, id string) (string, error) {
	const chunk = 500
	names, client := s.store.Names(), s.store.Client()
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

// notFound returns ErrNotFound, or store.ErrNotInitialized: in a store without its marker every key
// seems unknown.
func (s *Service) notFound(ctx context.Context) error {
	if err := s.store.Initialized(ctx); err != nil {
		return err
	}
	return ErrNotFound
}

// rewriteScript writes a revocation over itself and replies whether it was there. HSET counts as a
// write, and is sent to replicas, even if it changes nothing. KEYS: key. ARGV: 5 name of the field.
var rewriteScript = store.NewChangeScript(`
local at = redis.call('HGET', KEYS[1], ARGV[5])
if not at or at == '' then return 0 end
allow_when_full(KEYS[1])
redis.call('HSET', KEYS[1], ARGV[5], at)
return 1`)

// replicated waits until a replica has the revocation of a key, if the server reports a replica.
// WAIT covers the last write of its own connection (since Redis 7.2 nothing else), and replicas
// apply writes in order. So the connection that waits writes the revocation once more. The
// connection that revoked cannot be used: in a Cluster the client finds it by following
// redirections.
func (s *Service) replicated(ctx context.Context, key string) Replicated {
	var primary *redis.Client
	switch c := s.store.Client().(type) {
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
		return NoReplica // or the server does not show its replicas to us, or cannot have any
	}
	if there, err := rewriteScript.Run(ctx, conn, []string{key}, "", "", "", "", store.KeyRevokedAt).Int(); err != nil || there == 0 {
		return NotOnReplica // for example after a failover that lost it
	}
	n, err := conn.Wait(ctx, 1, replicaWait).Result()
	if err != nil || n == 0 {
		return NotOnReplica
	}
	return OnReplica
}
