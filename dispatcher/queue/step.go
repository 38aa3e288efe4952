package queue

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
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
	Delivery *Delivery     // the attempt behind the step, for the delivery log; may be nil
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
	c := CommitResult{Done: make([]bool, len(steps))}
	all := make([]int, len(steps))
	for i := range all {
		all[i] = i
	}
	unknown, err := p.commit(ctx, steps, all, &c)
	if err == nil && len(unknown) > 0 {
		for _, s := range stepScripts {
			if err := s.Load(ctx, p.q.store.Client()).Err(); err != nil {
				return CommitResult{}, err
			}
		}
		if unknown, err = p.commit(ctx, steps, unknown, &c); len(unknown) > 0 && err == nil {
			err = errScriptUnknown
		}
	}
	if err != nil {
		return CommitResult{}, err
	}
	return c, nil
}

// errScriptUnknown is returned where Redis does not know a script that was loaded a moment ago:
// another server answered, or somebody flushed the scripts.
var errScriptUnknown = errors.New("redis does not know a script that was just loaded")

// commit makes the selected steps. It returns those that were not made because Redis did not know
// their script.
func (p *Process) commit(ctx context.Context, steps []Step, selected []int, c *CommitResult) (unknown []int, err error) {
	var byKind [stepKinds][]int
	for _, i := range selected {
		byKind[steps[i].Kind] = append(byKind[steps[i].Kind], i)
	}
	pipe := p.q.store.Client().Pipeline()
	type part struct {
		steps []int
		cmd   *redis.Cmd
	}
	var parts []part
	for kind, all := range byKind {
		for len(all) > 0 {
			n := min(len(all), maxStepEvents)
			args := make([]any, 0, 1+n*6)
			switch StepKind(kind) {
			case StepDeliver:
				args = append(args, "delivered")
			case StepSkip:
				args = append(args, "skipped")
			}
			for _, i := range all[:n] {
				args = steps[i].append(args)
			}
			cmd := stepScripts[kind].EvalSha(ctx, pipe, p.q.keys(), p.q.arguments(p.name, args)...)
			parts = append(parts, part{all[:n], cmd})
			all = all[n:]
		}
	}
	logged := map[int]*redis.StringCmd{}
	orgs := map[string]bool{} // whose delivery log grows
	for _, i := range selected {
		if steps[i].Delivery != nil {
			org := steps[i].Event.OrgID
			logged[i] = p.q.logAttempt(ctx, pipe, org, *steps[i].Delivery)
			orgs[org] = true
		}
	}
	for org := range orgs {
		p.q.capLog(ctx, pipe, org)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, l := range logged {
		if err := l.Err(); err != nil {
			c.LogErr = err
		} else {
			steps[i].Delivery = nil // not logged again if the caller repeats the commit
		}
	}
	for _, part := range parts {
		r, err := part.cmd.Slice()
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			unknown = append(unknown, part.steps...)
			continue
		}
		if err == nil && len(r) == 0 {
			err = errReply
		}
		m, err := decodeReply(r, err, 1)
		if err != nil {
			return nil, err
		}
		done := list(m[0])
		for k, i := range part.steps {
			c.Done[i] = k < len(done) && num(done[k]) == 1
		}
	}
	return unknown, nil
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
