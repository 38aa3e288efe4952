package queue

import (
	"context"
	"embed"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

//go:embed lua/*.lua
var scriptFiles embed.FS

// names declares what lua/lib.lua uses of package store, so that no script spells a name of its
// own.
var names = fmt.Sprintf("local GROUP, HELD, LEASE, PARKED, PROGRESS, MARK = '%s', '%s', '%s', '%s', '%s', '%s'\n",
	store.ConsumerGroup, store.HeldPrefix, store.LeasePrefix, store.ParkedPrefix, store.ProgressPrefix, store.MarkPrefix)

// lib is the head of every script. Redis caches each script whole, by its digest.
var lib = names + mustRead("lib")

// The scripts: one step each, with its invariant at the head of the file.
var (
	dequeueScript       = load("dequeue")
	dequeueDueScript    = load("dequeue_due")
	unparkScript        = load("unpark")
	deliverScript       = load("deliver")
	deadLetterScript    = load("dead_letter")
	recordFailureScript = load("record_failure")
	parkScript          = load("park")
	requeueScript       = load("requeue")
	renewScript         = load("renew")
	recoverScript       = load("recover")
	releaseScript       = load("release")
	auditScript         = load("audit")
	booksScript         = load("books")
	trimScript          = load("trim")
	replayScript        = load("replay")
	leasedScript        = load("leased")
	deadLetterIDsScript = load("dead_letter_ids")
)

func mustRead(name string) string {
	b, err := scriptFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // the file is compiled in
	}
	return string(b)
}

func load(name string) *redis.Script { return redis.NewScript(lib + "\n" + mustRead(name)) }

// commandTimeout bounds a call whose context has no deadline. The steps are short; one that takes
// longer means that Redis is in trouble.
const commandTimeout = 5 * time.Second

// bounded returns ctx with a deadline. Where ctx has one, it stays: the caller decides how long to
// wait.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, commandTimeout)
}

// keys returns the KEYS of every script, in the order of lua/lib.lua. The schema marker is among
// them where one script may use keys of its slot too.
func (q *Queue) keys() []string {
	n := q.names
	k := []string{
		n.Events(), n.Books(), n.Processes(), n.Retry(), n.ParkedOrgs(),
		n.Dead(), n.DeadByOrg(), n.DeadByID(),
	}
	if !q.store.Cluster() {
		k = append(k, n.Schema())
	}
	return k
}

// arguments returns the ARGV of every script: the slot, the process (or ""), and the script's own.
func (q *Queue) arguments(process string, own []any) []any {
	return append([]any{q.names.Slot(), process}, own...)
}

// run runs one script and returns the members of its reply.
func (q *Queue) run(ctx context.Context, s *redis.Script, process string, own ...any) ([]any, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	r, err := s.Run(ctx, q.store.Client(), q.keys(), q.arguments(process, own)...).Slice()
	if err != nil {
		return nil, err
	}
	if len(r) == 0 {
		return nil, errReply
	}
	return r, nil
}
