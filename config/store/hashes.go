package store

// This file reads hashes together with the schema marker: a hash that is not there says something only where the marker is.

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// Hash is the answer to reading one hash.
type Hash struct {
	Fields      map[string]string // empty where there is no such hash
	Initialized bool              // whether the schema marker was there in the same atomic step (in a Cluster: right after it)
	Err         error             // no answer
}

// readHash reads without writing, and outside of MULTI: a full Redis refuses everything inside one, reads too. A marker that is no string is
// none, and no fault of the hash.
var readHash = redis.NewScript(`
local marker = redis.pcall('GET', KEYS[2])
if type(marker) == 'table' then marker = false end
return {redis.call('HGETALL', KEYS[1]), marker}
`)

// ReadHashes reads hashes, each together with the schema marker, in one pipeline. The result has the length and order of keys.
// A hash that is found counts whether Initialized or not; one that is not found says something only where Initialized.
func (s *Store) ReadHashes(ctx context.Context, keys ...string) []Hash {
	out := make([]Hash, len(keys))
	if len(keys) == 0 {
		return out
	}
	if s.cluster {
		s.readHashesThenMarker(ctx, keys, out)
		return out
	}
	marker := s.names.Schema()
	read := func(which []int, send func(pipe redis.Pipeliner, key string) *redis.Cmd) (unknownScript []int) {
		cmds := make([]*redis.Cmd, len(which))
		pipe := s.client.Pipeline()
		for i, k := range which {
			cmds[i] = send(pipe, keys[k])
		}
		_, _ = pipe.Exec(ctx) // each command has its own error
		for i, k := range which {
			v, err := cmds[i].Slice()
			if redis.HasErrorPrefix(err, "NOSCRIPT") {
				unknownScript = append(unknownScript, k)
				continue
			}
			out[k] = readAnswer(v, err)
		}
		return unknownScript
	}
	all := make([]int, len(keys))
	for i := range all {
		all[i] = i
	}
	again := read(all, func(pipe redis.Pipeliner, key string) *redis.Cmd {
		return readHash.EvalSha(ctx, pipe, []string{key, marker})
	})
	if len(again) > 0 { // the server has forgotten the script, as after a restart; the first EVAL teaches it
		first := true
		read(again, func(pipe redis.Pipeliner, key string) *redis.Cmd {
			if first {
				first = false
				return readHash.Eval(ctx, pipe, []string{key, marker})
			}
			return readHash.EvalSha(ctx, pipe, []string{key, marker})
		})
	}
	return out
}

func readAnswer(v []any, err error) Hash {
	if err != nil {
		return Hash{Err: fmt.Errorf("reading a hash and the marker: %w", err)}
	}
	if len(v) == 0 { // an answer of another shape; the marker alone may be cut off, being nil
		return Hash{Err: errors.New("reading a hash and the marker: redis answered something else")}
	}
	flat, _ := v[0].([]any)
	h := Hash{Fields: make(map[string]string, len(flat)/2)}
	for i := 0; i+1 < len(flat); i += 2 {
		name, _ := flat[i].(string)
		value, _ := flat[i+1].(string)
		h.Fields[name] = value
	}
	h.Initialized = len(v) > 1 && v[1] == SchemaVersion
	return h
}

// readHashesThenMarker is for a Cluster, where hash and marker live in different slots. The order matters: a store that was lost and came
// back empty before the hash was read has no marker afterwards either.
func (s *Store) readHashesThenMarker(ctx context.Context, keys []string, out []Hash) {
	cmds := make([]*redis.MapStringStringCmd, len(keys))
	pipe := s.client.Pipeline()
	for i, k := range keys {
		cmds[i] = pipe.HGetAll(ctx, k)
	}
	_, _ = pipe.Exec(ctx)
	absent := false
	for i, c := range cmds {
		fields, err := c.Result()
		if err != nil {
			out[i].Err = fmt.Errorf("reading a hash: %w", err)
			continue
		}
		out[i].Fields = fields
		absent = absent || len(fields) == 0
	}
	marked, err := s.marked(ctx)
	for i := range out {
		out[i].Initialized = marked
		// A hash that was found counts whatever became of the marker.
		if err != nil && out[i].Err == nil && len(out[i].Fields) == 0 {
			out[i].Err = err
		}
	}
}
