package keyauth

import (
	"context"
	"crypto/rand"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// This file is what usage is in Redis: the hash tenzo:usage:<id> with `count` and `last_used_at`, which everybody may read, and for each
// process that counted a field `p:<process>` that holds "<total> <Unix seconds>": the last total it sent, and when. `count` grows by the
// difference, in the same script, so it is the sum of all that any process ever counted.

// usageFieldPrefix begins the private field of a process.
const usageFieldPrefix = "p:"

// silentAfter is how long a process must not have been heard of, for its field to be folded away by others (specification.md, section 5).
const silentAfter = 7 * 24 * time.Hour

// total is what a process says of one key.
type total struct {
	id    string // of the key
	field string
	count uint64
	last  int64 // Unix milliseconds
	sweep bool  // also fold away the fields of processes that were not heard of for silentAfter
}

// counts is where totals are kept.
type counts interface {
	// send takes totals over and returns, in their order, what became of each. With free it also works in a full Redis.
	send(ctx context.Context, totals []total, free bool) []error
	// fold removes the fields of these totals, all of which must have been sent.
	fold(ctx context.Context, totals []total) []error
}

// sendTotal must run again without harm, at any time after it ran before. ARGV: field, total, last_used_at, silence that folds others
// (seconds, 0: none), whether to write though Redis is full (its first write then frees memory, which lets the others pass).
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

// redisCounts keeps totals in Redis.
type redisCounts struct {
	client redis.UniversalClient
	names  store.Names
}

func (r *redisCounts) send(ctx context.Context, totals []total, free bool) []error {
	errs := make([]error, len(totals))
	which := make([]int, len(totals))
	for i := range which {
		which[i] = i
	}
	unlearnt := r.sendSome(ctx, totals, free, which, errs, func(i int) bool { return i == 0 })
	// In a Cluster only one node has learnt the script from that first EVAL.
	r.sendSome(ctx, totals, free, unlearnt, errs, func(int) bool { return true })
	return errs
}

// sendSome sends some of the totals and returns those for which a server did not know the script.
func (r *redisCounts) sendSome(ctx context.Context, totals []total, free bool, which []int, errs []error, teach func(i int) bool) (unlearnt []int) {
	if len(which) == 0 {
		return nil
	}
	pipe := r.client.Pipeline()
	cmds := make([]*redis.Cmd, len(which))
	for i, w := range which {
		t, silence, freeing := totals[w], int64(0), 0
		if t.sweep {
			silence = int64(silentAfter / time.Second)
		}
		if free {
			freeing = 1
		}
		run := sendTotal.EvalSha
		if teach(i) {
			run = sendTotal.Eval
		}
		cmds[i] = run(ctx, pipe, []string{r.names.Usage(t.id)},
			t.field, strconv.FormatUint(t.count, 10), store.TimeText(time.UnixMilli(t.last)), silence, freeing)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, w := range which {
		errs[w] = cmds[i].Err()
		if redis.HasErrorPrefix(errs[w], "NOSCRIPT") {
			unlearnt = append(unlearnt, w)
		}
	}
	return unlearnt
}

func (r *redisCounts) fold(ctx context.Context, totals []total) []error {
	errs := make([]error, len(totals))
	pipe := r.client.Pipeline()
	cmds := make([]*redis.IntCmd, len(totals))
	for i, t := range totals {
		cmds[i] = pipe.HDel(ctx, r.names.Usage(t.id), t.field)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i := range cmds {
		errs[i] = cmds[i].Err()
	}
	return errs
}

// newProcess returns a name that no other process has, nor this one in another run.
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
