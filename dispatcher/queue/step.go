package queue

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// StepKind is what a Step does to an event that the process holds.
type StepKind int

// The kinds of steps. Each leaves `held`, but Record, which only counts a failed attempt before an immediate retry.
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
	Delay    time.Duration // Delay: how long from now, by Redis' clock
	Delivery *Delivery     // the attempt behind the step, for the delivery log; may be nil
}

var kindScripts = [stepKinds]*redis.Script{deliverScript, deliverScript, deadLetterScript, recordFailureScript, recordFailureScript, parkScript}

// CommitResult is what became of committed steps.
type CommitResult struct {
	Done   []bool // by step: false where the event was not held any more: taken over, or committed by an attempt whose answer was lost
	LogErr error  // why delivery log entries were not written, where some were not
}

// Commit makes steps in one pipeline: one script for each kind, and the delivery log behind them, whose failure is no error of the
// commit. After an error it may be repeated with the same steps: each is guarded by the place that it leaves, and a Delivery that was
// logged is taken out of its step.
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
		for _, s := range kindScripts {
			if err := s.Load(ctx, p.q.store.Client()).Err(); err != nil {
				return CommitResult{}, err
			}
		}
		if unknown, err = p.commit(ctx, steps, unknown, &c); len(unknown) > 0 && err == nil {
			err = errForgotten
		}
	}
	if err != nil {
		return CommitResult{}, err
	}
	return c, nil
}

// errForgotten says that Redis did not know a script that it had just been given: another server answered, or somebody flushed them.
var errForgotten = errors.New("redis forgot a script at once")

// commit makes those of the steps that are listed. It returns those that were not made because Redis did not know their script.
func (p *Process) commit(ctx context.Context, steps []Step, listed []int, c *CommitResult) (unknown []int, err error) {
	var by [stepKinds][]int
	for _, i := range listed {
		by[steps[i].Kind] = append(by[steps[i].Kind], i)
	}
	pipe := p.q.store.Client().Pipeline()
	type part struct {
		steps []int
		cmd   *redis.Cmd
	}
	var parts []part
	for kind, all := range by {
		for len(all) > 0 {
			n := min(len(all), stepLimit)
			args := make([]any, 0, 1+n*7)
			if StepKind(kind) == StepDeliver {
				args = append(args, "delivered")
			} else if StepKind(kind) == StepSkip {
				args = append(args, "skipped")
			}
			for _, i := range all[:n] {
				args = steps[i].append(args)
			}
			cmd := kindScripts[kind].EvalSha(ctx, pipe, p.q.keys(), p.q.arguments(p.name, args)...)
			parts = append(parts, part{all[:n], cmd})
			all = all[n:]
		}
	}
	logged := map[int]*redis.StringCmd{}
	longer := map[string]bool{} // the organizations whose delivery log grows
	for _, i := range listed {
		if steps[i].Delivery != nil {
			org := steps[i].Event.OrgID
			logged[i] = p.q.logAttempt(ctx, pipe, org, *steps[i].Delivery)
			longer[org] = true
		}
	}
	for org := range longer {
		p.q.capLog(ctx, pipe, org)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, l := range logged {
		if err := l.Err(); err != nil {
			c.LogErr = err
		} else {
			steps[i].Delivery = nil // not again, should the commit be repeated
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
		m, err := state(r, err, 1)
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

// append adds the step's arguments, as its script has them.
func (s *Step) append(args []any) []any {
	e := s.Event
	explicit := ""
	if e.Explicit {
		explicit = e.ID
	}
	switch s.Kind {
	case StepDeliver, StepSkip:
		return append(args, e.Entry, e.OrgID, explicit)
	case StepDeadLetter:
		return append(args, e.Entry, s.Reason, e.Attempts, status(e.LastStatus), e.LastError, ms(e.FirstSeen), "")
	case StepPark:
		return append(args, e.Entry, e.OrgID, ms(e.FirstSeen))
	default:
		delay := int64(-1)
		if s.Kind == StepReschedule {
			delay = s.Delay.Milliseconds()
		}
		return append(args, e.Entry, e.Attempts, status(e.LastStatus), e.LastError, ms(e.FirstSeen), delay)
	}
}

// status is how a status stands in Redis: empty where no answer came.
func status(s int) any {
	if s == 0 {
		return ""
	}
	return s
}
