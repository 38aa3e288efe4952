package queue

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// StepKind is what a Step does to an event that the process holds.
type StepKind int

// The kinds of steps. After each the process no longer holds the event, except after
// StepRecordFailure, which only counts a failed attempt before an immediate retry.
const (
	StepDeliver StepKind = iota
	StepSkip
	StepDeadLetter
	StepRecordFailure
	StepReschedule
	StepPark
	stepKinds
)

// Step is one transition of a held event, to be committed.
type Step struct {
	Kind     StepKind
	Event    *LeasedEvent  // Attempts, LastStatus and LastError as they are to be recorded
	Reason   string        // StepDeadLetter: why
	Delay    time.Duration // StepReschedule: until the retry, by the clock of Redis
	Delivery *Delivery     // the line for the delivery log; may be nil
}

var stepScripts = [stepKinds]*redis.Script{
	StepDeliver:       deliverScript,
	StepSkip:          deliverScript,
	StepDeadLetter:    deadLetterScript,
	StepRecordFailure: recordFailureScript,
	StepReschedule:    recordFailureScript,
	StepPark:          parkScript,
}

// CommitResult is the outcome of committed steps.
type CommitResult struct {
	// Done says for each step whether it was made. It was not where the event was no longer held:
	// another process recovered it, or an earlier commit whose reply was lost had made the step.
	Done   []bool
	LogErr error // why entries of the delivery log were not written, where some were not
}

// Commit makes steps in one pipeline: one script for each kind, then the delivery log, whose
// failure is not an error of the commit. After an error the caller may repeat it with the same
// steps: each is guarded by the place that it leaves, and a Delivery that was logged is removed
// from its step.
func (p *Process) Commit(ctx context.Context, steps []Step) (CommitResult, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	batches, calls := p.batches(steps)
	logged := map[int]*redis.StringCmd{}
	replies := p.q.store.EvalPipeline(ctx, calls, func(pipe redis.Pipeliner) {
		orgs := map[string]bool{} // whose delivery log grows
		for i, s := range steps {
			if s.Delivery != nil {
				logged[i] = p.q.logAttempt(ctx, pipe, s.Event.OrgID, *s.Delivery)
				orgs[s.Event.OrgID] = true
			}
		}
		for org := range orgs {
			p.q.capLog(ctx, pipe, org)
		}
	})
	c := CommitResult{Done: make([]bool, len(steps))}
	for i, l := range logged {
		if err := l.Err(); err != nil {
			c.LogErr = err
		} else {
			steps[i].Delivery = nil // not logged again if the caller repeats the commit
		}
	}
	for n, reply := range replies {
		r, err := reply.Slice()
		if err == nil && len(r) == 0 {
			err = errReply
		}
		m, err := decodeReply(r, err, 1)
		if err != nil {
			return CommitResult{}, err
		}
		done := list(m[0])
		for k, i := range batches[n] {
			c.Done[i] = k < len(done) && num(done[k]) == 1
		}
	}
	return c, nil
}

// batches returns the script calls that make steps, and for each call the indexes of its steps.
func (p *Process) batches(steps []Step) (indexes [][]int, calls []store.ScriptCall) {
	var byKind [stepKinds][]int
	for i, s := range steps {
		byKind[s.Kind] = append(byKind[s.Kind], i)
	}
	for kind, all := range byKind {
		for batch := range slices.Chunk(all, maxStepEvents) {
			args := make([]any, 0, 1+len(batch)*6)
			switch StepKind(kind) {
			case StepDeliver:
				args = append(args, "delivered")
			case StepSkip:
				args = append(args, "skipped")
			}
			for _, i := range batch {
				args = steps[i].append(args)
			}
			indexes = append(indexes, batch)
			calls = append(calls, store.ScriptCall{
				Script: stepScripts[kind], Keys: p.q.keys(), Args: p.q.arguments(p.name, args),
			})
		}
	}
	return indexes, calls
}

// append appends the step's arguments in the order of its script.
func (s *Step) append(args []any) []any {
	e := s.Event
	switch s.Kind {
	case StepDeliver, StepSkip:
		explicit := ""
		if e.Explicit {
			explicit = e.ID
		}
		return append(args, e.Entry, e.OrgID, explicit)
	case StepDeadLetter:
		return append(args, e.Entry, s.Reason, e.Attempts, status(e.LastStatus), e.LastError, unixMilli(e.FirstSeen))
	case StepPark:
		return append(args, e.Entry, e.OrgID, unixMilli(e.FirstSeen))
	default:
		delay := int64(-1)
		if s.Kind == StepReschedule {
			delay = s.Delay.Milliseconds()
		}
		return append(args, e.Entry, e.Attempts, status(e.LastStatus), e.LastError, unixMilli(e.FirstSeen), delay)
	}
}

// status returns a status as Redis stores it: empty where no response came.
func status(s int) any {
	if s == 0 {
		return ""
	}
	return s
}

func unixMilli(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
