package store

// This file reads hashes together with the schema marker: the absence of a hash means something
// only if the marker is there.

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Hash is the reply to reading one hash.
type Hash struct {
	Fields map[string]string // empty if there is no such hash
	// Initialized reports whether the schema marker was there, in the same atomic step or, in a
	// Cluster, right after it.
	Initialized bool
	Err         error // no reply
}

// readHash reads a hash and the marker. It writes nothing and does without MULTI: a full Redis
// refuses every command inside a MULTI, reads too. A marker that is no string counts as absent and
// does not spoil the hash.
var readHash = redis.NewScript(`
local marker = redis.pcall('GET', KEYS[2])
if type(marker) == 'table' then marker = false end
return {redis.call('HGETALL', KEYS[1]), marker}
`)

// ReadHashes reads hashes, each together with the schema marker, in one pipeline. The result has
// the length and order of keys. A hash that is found is valid whether Initialized or not. One that
// is not found means something only if Initialized.
func (s *Store) ReadHashes(ctx context.Context, keys ...string) []Hash {
	out := make([]Hash, len(keys))
	if len(keys) == 0 {
		return out
	}
	if s.cluster {
		s.readHashesThenMarker(ctx, keys, out)
		return out
	}
	calls := make([]ScriptCall, len(keys))
	for i, key := range keys {
		calls[i] = ScriptCall{Script: readHash, Keys: []string{key, s.names.Schema()}}
	}
	for i, reply := range s.EvalPipeline(ctx, calls, nil) {
		v, err := reply.Slice()
		out[i] = decodeHash(v, err)
	}
	return out
}

func decodeHash(v []any, err error) Hash {
	if err != nil {
		return Hash{Err: fmt.Errorf("reading a hash and the marker: %w", err)}
	}
	if len(v) == 0 { // a reply of another shape; only the marker may be cut off, because it is nil
		return Hash{Err: errors.New("reading a hash and the marker: unexpected reply from redis")}
	}
	return Hash{Fields: HashFields(v[0]), Initialized: len(v) > 1 && v[1] == SchemaVersion}
}

// HashFields returns the fields of a hash from the reply of a script: names and values in turn.
func HashFields(reply any) map[string]string {
	flat, _ := reply.([]any)
	fields := make(map[string]string, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		name, _ := flat[i].(string)
		value, _ := flat[i+1].(string)
		fields[name] = value
	}
	return fields
}

// readHashesThenMarker is ReadHashes in a Cluster, where hash and marker are in different slots.
// The order matters: if the store lost its data and came back empty before the hash was read, it
// has no marker afterwards either.
func (s *Store) readHashesThenMarker(ctx context.Context, keys []string, out []Hash) {
	cmds := make([]*redis.MapStringStringCmd, len(keys))
	pipe := s.client.Pipeline()
	for i, k := range keys {
		cmds[i] = pipe.HGetAll(ctx, k)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, c := range cmds {
		fields, err := c.Result()
		if err != nil {
			out[i].Err = fmt.Errorf("reading a hash: %w", err)
			continue
		}
		out[i].Fields = fields
	}
	initialized, err := s.hasMarker(ctx)
	for i := range out {
		out[i].Initialized = initialized
		// A hash that was found is valid even if the marker could not be read.
		if err != nil && out[i].Err == nil && len(out[i].Fields) == 0 {
			out[i].Err = err
		}
	}
}
