package store

// This file changes a record and publishes the change, so that running processes stop trusting what
// they have cached of the record.

import (
	"context"
	"fmt"
	"net/http"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// changeLib is placed before each script that changes a record and publishes the change.
//
// KEYS: record[, changes, schema[, further keys]]; in a Cluster the record alone, since a script
// there may not touch keys in different slots. ARGV: cap of the changes stream, field and value of
// the change, schema version, then the arguments of the script itself.
//
// A Redis at maxmemory refuses a script whose first write could take memory, and does not stop a
// script that has already written. So a script that must work on a full Redis first makes a write
// that takes none, even if it changes nothing: allow_when_full deletes a field that no hash has,
// publish_change trims the stream.
const changeLib = `
local function initialized()
  return not KEYS[3] or redis.call('GET', KEYS[3]) == ARGV[4]
end

local function allow_when_full(hash)
  redis.call('HDEL', hash, '_')
end

local function publish_change()
  if not KEYS[2] then return end
  redis.call('XTRIM', KEYS[2], 'MAXLEN', '~', ARGV[1])
  redis.call('XADD', KEYS[2], '*', ARGV[2], ARGV[3])
end
`

// changeArgs is how many arguments of changeLib precede those of the script itself.
const changeArgs = 4

// NewChangeScript returns a script for RunAndPublish. Its source may call initialized,
// allow_when_full(hash) and publish_change; its own arguments begin at ARGV[5].
func NewChangeScript(source string) *redis.Script { return redis.NewScript(changeLib + source) }

// Change is a change of a record, with its entry in the changes stream.
type Change struct {
	Record string   // the Redis key of the record
	Field  string   // ChangeKey or ChangeWebhook
	Value  string   // which key or webhook
	More   []string // further Redis keys of the script; not in a Cluster

	// Unpublished tells people what it means that the record was changed, but running processes
	// were not told, and what to do about it.
	Unpublished string
}

// RunAndPublish runs a script that changes a record, and publishes the change: within the script,
// or in a Cluster as a step of its own after it. A script that changed nothing replies false, which
// is redis.Nil here, and is not published. If only the publication failed, the error is a refusal
// with the code change_not_announced, and the record is changed.
func (s *Store) RunAndPublish(ctx context.Context, script *redis.Script, c Change, args ...any) (any, error) {
	keys := []string{c.Record}
	if !s.cluster {
		keys = append(append(keys, s.names.Changes(), s.names.Schema()), c.More...)
	}
	all := make([]any, 0, changeArgs+len(args))
	all = append(append(all, ChangesMaxLen, c.Field, c.Value, SchemaVersion), args...)
	reply, err := script.Run(ctx, s.client, keys, all...).Result()
	if err != nil || !s.cluster {
		return reply, err
	}
	if err := s.PublishChange(ctx, c.Field, c.Value); err != nil {
		refusal := &problem.Error{
			Status: http.StatusServiceUnavailable, Code: "change_not_announced", Detail: c.Unpublished,
		}
		return nil, fmt.Errorf("%w: %w", refusal, err)
	}
	return reply, nil
}

// publishChange publishes a change. KEYS: changes. ARGV: cap of the changes stream, field, value.
var publishChange = redis.NewScript(`
redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[1])
redis.call('XADD', KEYS[1], '*', ARGV[2], ARGV[3])
return 1`)

// PublishChange adds an entry to the changes stream, as a step of its own: field is ChangeKey or
// ChangeWebhook.
func (s *Store) PublishChange(ctx context.Context, field, value string) error {
	err := publishChange.Run(ctx, s.client, []string{s.names.Changes()}, ChangesMaxLen, field, value).Err()
	if err != nil {
		return fmt.Errorf("publishing the change: %w", err)
	}
	return nil
}
