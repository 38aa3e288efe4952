package dispatcher

import (
	"context"
	"errors"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// commitBatch is how many steps one pipeline takes at most.
const commitBatch = 1024

// commitment is a step that waits to be committed, and what is to happen then.
type commitment struct {
	step queue.Step
	// then is called by the committer and must not block. held is false where the event turned out not to be ours any more; after a lost
	// answer that cannot be told, and a last step counts as made.
	then func(held bool)
}

// committer writes the steps of many runners in as few round trips as there are: whatever waits goes into one pipeline (group commit).
//
// Invariant: a step that was submitted is committed, or the session has ended. An outage of Redis of any length only delays it.
type committer struct {
	s     *session
	steps chan commitment
}

// newCommitter makes room for as many steps as there can be: an event has one at a time. So nobody ever waits to submit.
func newCommitter(s *session) *committer {
	return &committer{s: s, steps: make(chan commitment, s.d.options.MaxInFlight)}
}

// submit hands a step over; then is called once it is committed.
func (c *committer) submit(step queue.Step, then func(held bool)) {
	c.steps <- commitment{step, then}
}

// run commits until done is closed, before which everything was submitted, and nothing waits any more; or until the session is over.
func (c *committer) run(ctx context.Context, done <-chan struct{}) {
	var batch []commitment
	for {
		batch = batch[:0]
		select {
		case s := <-c.steps:
			batch = append(batch, s)
		default:
			select {
			case s := <-c.steps:
				batch = append(batch, s)
			case <-done:
				select { // what was submitted before done comes first
				case s := <-c.steps:
					batch = append(batch, s)
				default:
					return
				}
			case <-ctx.Done():
				return
			}
		}
	more:
		for len(batch) < commitBatch {
			select {
			case s := <-c.steps:
				batch = append(batch, s)
			default:
				break more
			}
		}
		if !c.commit(ctx, batch) {
			return
		}
		clear(batch)
	}
}

// commit repeats a batch until Redis has taken it.
func (c *committer) commit(ctx context.Context, batch []commitment) bool {
	steps := make([]queue.Step, len(batch))
	for i := range batch {
		steps[i] = batch[i].step
	}
	again := false
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		r, err := c.s.process.Commit(ctx, steps)
		if err == nil {
			if r.LogErr != nil {
				c.s.d.health.unlogged(r.LogErr)
			}
			for i := range batch {
				batch[i].then(r.Done[i] || again && batch[i].step.Kind != queue.StepRecordFailure)
			}
			return true
		}
		if errors.Is(err, queue.ErrFenced) {
			c.s.gone()
			return false
		}
		if ctx.Err() != nil {
			return false
		}
		c.s.trouble(err)
		again = true
		if !sleep(ctx, pause) {
			return false
		}
	}
}

// sleep waits, and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
