package usage

// This file is the form of usage in Redis: the hash tenzo:usage:<id> with `count` and
// `last_used_at`, which everybody may read, and for each process that counted a private field
// `p:<process>` that holds "<total> <Unix seconds>": the last total it sent, and when. `count`
// grows by the difference in the same script, so it is the sum of what all processes ever counted.

import (
	"context"
	"crypto/rand"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// fieldPrefix begins the private field of a process.
const fieldPrefix = "p:"

// silentAfter is how long a process must have been silent before others remove its field. One that
// is heard of again later writes to a new field (renewAfter).
const silentAfter = 7 * 24 * time.Hour

// Total is what a process sends of one key.
type Total struct {
	KeyID    string
	Field    string // the private field of the process in the key's usage hash
	Count    uint64
	LastUsed int64 // Unix milliseconds
	Sweep    bool  // also remove the fields of processes that were silent for silentAfter
}

// Sink is where totals are kept.
type Sink interface {
	// Send stores totals and returns an error for each, in their order. With force it also works in
	// a full Redis.
	Send(ctx context.Context, totals []Total, force bool) []error
	// Remove removes the fields of these totals, all of which must have been sent.
	Remove(ctx context.Context, totals []Total) []error
}

// sendTotal stores one total. It may run any number of times with the same arguments, at any later
// time. ARGV: field, total, last_used_at, the silence in seconds after which the fields of others
// are removed (0: never), and 1 to write to a full Redis too: its first write then frees memory,
// which lets the later writes pass.
var sendTotal = redis.NewScript(`
local key, field, total, last, silence = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local now = tonumber(redis.call('TIME')[1])
local had = redis.call('HGET', key, field)
if ARGV[5] == '1' then redis.call('HDEL', key, '_') end

had = had and tonumber(string.match(had, '^%d+')) or 0
if total > had then
  redis.call('HINCRBY', key, 'count', string.format('%.0f', total - had))
else
  total = had
end
redis.call('HSET', key, field, string.format('%.0f %.0f', total, now))
local used = redis.call('HGET', key, 'last_used_at')
if not used or used < last then redis.call('HSET', key, 'last_used_at', last) end
if silence > 0 then
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local heard = string.sub(all[i], 1, 2) == 'p:' and tonumber(string.match(all[i + 1], ' (%d+)$'))
    if heard and now - heard > silence then
      redis.call('HDEL', key, all[i])
    end -- if
  end -- for
end -- if
return 1
`)

// redisSink stores totals in Redis.
type redisSink struct{ store *store.Store }

func (r *redisSink) Send(ctx context.Context, totals []Total, force bool) []error {
	calls := make([]store.ScriptCall, len(totals))
	for i, t := range totals {
		silence, forced := int64(0), 0
		if t.Sweep {
			silence = int64(silentAfter / time.Second)
		}
		if force {
			forced = 1
		}
		calls[i] = store.ScriptCall{
			Script: sendTotal, Keys: []string{r.store.Names().Usage(t.KeyID)},
			Args: []any{
				t.Field, strconv.FormatUint(t.Count, 10), store.FormatTime(time.UnixMilli(t.LastUsed)), silence, forced,
			},
		}
	}
	errs := make([]error, len(totals))
	for i, reply := range r.store.EvalPipeline(ctx, calls, nil) {
		errs[i] = reply.Err()
	}
	return errs
}

func (r *redisSink) Remove(ctx context.Context, totals []Total) []error {
	errs := make([]error, len(totals))
	pipe := r.store.Client().Pipeline()
	cmds := make([]*redis.IntCmd, len(totals))
	for i, t := range totals {
		cmds[i] = pipe.HDel(ctx, r.store.Names().Usage(t.KeyID), t.Field)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i := range cmds {
		errs[i] = cmds[i].Err()
	}
	return errs
}

// newProcess returns a name that is unique to this run of this process.
func newProcess() string { return rand.Text()[:16] }

// onDial calls f after each new connection of client.
func onDial(client redis.UniversalClient, f func()) {
	h := dialHook(f)
	if c, ok := client.(*redis.ClusterClient); ok {
		c.OnNewNode(func(node *redis.Client) { node.AddHook(h) })
		return
	}
	client.AddHook(h)
}

type dialHook func()

// DialHook implements redis.Hook.
func (h dialHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err == nil {
			h()
		}
		return conn, err
	}
}

// ProcessHook implements redis.Hook.
func (dialHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (dialHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
