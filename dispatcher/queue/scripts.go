package queue

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// lib stands before every script; Redis caches each whole by its digest.
var lib = mustRead("lib")

// The scripts: one step each, with its invariant on top of the file.
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
	b, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(err) // the file is compiled in
	}
	return string(b)
}

func load(name string) *redis.Script { return redis.NewScript(lib + "\n" + mustRead(name)) }

// commandTimeout bounds a call whose context has no deadline. The steps are short; what takes longer is a Redis in trouble.
const commandTimeout = 5 * time.Second

// bounded returns ctx with a deadline: its own where it has one, since how long to wait is the caller's to say.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, commandTimeout)
}

// errReply says that Redis answered in a shape that the script never has.
var errReply = errors.New("redis answered a script in an unexpected shape")

// keys are the KEYS of every script, in the order of lua/lib.lua. The marker is among them where one script may touch it too.
func (q *Queue) keys() []string {
	n := q.names
	k := []string{n.Events(), n.Books(), n.Processes(), n.Retry(), n.ParkedOrgs(), n.Dead(), n.DeadByOrg(), n.DeadByID()}
	if !q.store.Cluster() {
		k = append(k, n.Schema())
	}
	return k
}

// arguments are the ARGV of every script: the slot, the process (or ""), and the script's own.
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

// States that the steps of a process answer with.
const (
	stateOK       = "ok"
	stateGone     = "gone"
	stateUnmarked = "unmarked"
)

// ErrFenced says that this process is registered no more: its work was taken over, or Redis lost its data. Nothing that it holds in
// memory is its own; it goes on under a new name.
var ErrFenced = errors.New("the lease was lost and the work taken over")

// ErrNotInitialized says that the schema marker is missing: nothing was taken.
var ErrNotInitialized = errors.New("the schema marker is missing")

// state turns the first member of a step's reply into an error and returns the others; want is how many there must be.
func state(r []any, err error, want int) ([]any, error) {
	if err != nil {
		return nil, err
	}
	s, _ := r[0].(string)
	switch {
	case s == stateGone:
		return nil, ErrFenced
	case s == stateUnmarked:
		return nil, ErrNotInitialized
	case s != stateOK || len(r) != want+1:
		return nil, fmt.Errorf("%w: state %q with %d members", errReply, s, len(r))
	}
	return r[1:], nil
}

func str(v any) string { s, _ := v.(string); return s }

func list(v any) []any { l, _ := v.([]any); return l }

func strs(v any) []string {
	l := list(v)
	out := make([]string, len(l))
	for i := range l {
		out[i] = str(l[i])
	}
	return out
}

// num reads an integer that a script returned as such or as text.
func num(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case string:
		return integer(n)
	}
	return 0
}

// integer reads a number from Redis; one that is none reads as 0. Scores come as floats.
func integer(s string) int64 {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return int64(f)
	}
	return 0
}
