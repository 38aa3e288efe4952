package usage

// This file writes counts to Redis about every second, again after Redis may have lost them, and
// for the last time at a graceful stop.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	flushEvery     = time.Second
	flushTimeout   = 2 * time.Second        // of one pipeline
	flushBatch     = 500                    // totals in one pipeline
	resendInterval = 5 * time.Second        // least time between two resends of everything
	idleAfter      = 10 * time.Minute       // after this time without a use, a counter is retired
	stopRetry      = 100 * time.Millisecond // between the attempts of the last flush
	// How often the fields of silent processes are looked for.
	sweepEvery = 24 * time.Hour
	// staleAfter is how long after its last confirmation a field may have been removed by others,
	// who do so after silentAfter. A total that is sent to a field that was removed counts twice.
	staleAfter = silentAfter - 24*time.Hour
)

// Run flushes until ctx is done.
func (u *Counters) Run(ctx context.Context) {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			u.Flush(ctx)
		}
	}
}

// Flush sends the totals that Redis has not confirmed, or all totals if Redis may have lost some.
// It retires the counters that were idle for long.
func (u *Counters) Flush(ctx context.Context) {
	u.flushing.Lock()
	defer u.flushing.Unlock()
	now := time.Since(u.started)
	if now-u.resentAt >= resendInterval && u.resend.Swap(false) {
		u.round++
		u.resentAt = now
	}
	var due []*Counter
	for _, c := range u.all() {
		t := c.total()
		switch {
		case t != c.acked.Load():
			c.changed = now
			due = append(due, u.rotateIfStale(c))
		case c.round != u.round && t > 0:
			due = append(due, u.rotateIfStale(c))
		case now-c.changed > idleAfter && u.retire(c, t) && t > 0:
			u.removing = append(u.removing, c)
		}
	}
	u.send(ctx, due, false)
	u.removeFields(ctx)
}

// rotateIfStale returns c. If others may have removed the field of c, it returns a successor that
// continues from what Redis had.
func (u *Counters) rotateIfStale(c *Counter) *Counter {
	if c.ackedAt == 0 || time.Since(time.Unix(c.ackedAt, 0)) < staleAfter {
		return c
	}
	t := u.retireNow(c)
	next := u.Counter(c.id)
	next.state.Add(t - c.acked.Load())
	next.last.Store(max(next.last.Load(), c.last.Load()))
	return next
}

// send writes the totals of these counters to Redis and returns the counters whose totals were not
// written. It gives up if Redis does not answer or is full. With force it also writes to a full
// Redis: for the last flush, after which nothing can wait in memory.
func (u *Counters) send(ctx context.Context, due []*Counter, force bool) (left []*Counter) {
	if len(due) == 0 {
		return nil
	}
	var failure error
	for len(due) > 0 {
		batch := due[:min(len(due), flushBatch)]
		err := u.sendBatch(ctx, batch, force, &left)
		due = due[len(batch):]
		if failure == nil {
			failure = err
		}
		if unanswered(err) || redis.HasErrorPrefix(err, "OOM") {
			left = append(left, due...)
			break
		}
	}
	u.report(failure)
	return left
}

// sendBatch sends one pipeline, appends to left the counters whose totals were not written, and
// returns the most severe error.
func (u *Counters) sendBatch(ctx context.Context, batch []*Counter, force bool, left *[]*Counter) (failure error) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	now := time.Now().Unix()
	totals := make([]Total, len(batch))
	for i, c := range batch {
		// The count is read before the last use, which was stored before it.
		totals[i] = Total{KeyID: c.id, Field: c.field, Count: c.total(), LastUsed: c.last.Load()}
		totals[i].Sweep = now-c.sweptAt >= int64(sweepEvery/time.Second)
	}
	for i, err := range u.sink.Send(ctx, totals, force) {
		c := batch[i]
		if err != nil {
			*left = append(*left, c)
			if !unanswered(err) { // the error concerns this key, or all keys
				err = fmt.Errorf("counting the use of key %s: %w", c.id, err)
			}
			if failure == nil || unanswered(err) {
				failure = err
			}
			continue
		}
		c.acked.Store(totals[i].Count)
		c.ackedAt, c.round = now, u.round
		if totals[i].Sweep {
			c.sweptAt = now
		}
	}
	if unanswered(failure) {
		u.ResendAll()
	}
	return failure
}

// report counts a flush, and logs when flushes begin to fail, fail differently or succeed again.
func (u *Counters) report(failure error) {
	before := u.problem
	switch {
	case failure == nil:
		u.problem = ""
	case unanswered(failure):
		u.problem = "redis unreachable; usage counts are kept in memory"
	case redis.HasErrorPrefix(failure, "OOM"):
		u.problem = "redis is full (maxmemory); usage counts are kept in memory"
	default:
		u.problem = "redis rejected some usage counts; they are kept in memory"
	}
	u.onFlush(failure == nil)
	switch {
	case failure == nil && before != "":
		u.logger.Info("usage counts are written to redis again")
	case failure != nil && u.problem != before:
		u.logger.Warn(u.problem, "error", failure, "pending", u.Pending())
	}
}

// removeFields removes the fields of retired counters. The next flush retries those that failed.
// Fields that are never removed here are removed by other processes after silentAfter.
func (u *Counters) removeFields(ctx context.Context) {
	var again []*Counter
	for rest := u.removing; len(rest) > 0; {
		batch := rest[:min(len(rest), flushBatch)]
		rest = rest[len(batch):]
		totals := make([]Total, len(batch))
		for i, c := range batch {
			totals[i] = Total{KeyID: c.id, Field: c.field}
		}
		bounded, cancel := context.WithTimeout(ctx, flushTimeout)
		failed := false
		for i, err := range u.sink.Remove(bounded, totals) {
			if err != nil {
				again = append(again, batch[i])
				failed = failed || unanswered(err)
			}
		}
		cancel()
		if failed {
			again = append(again, rest...)
			break
		}
	}
	u.removing = again
}

// Stop retires all counters, writes every total to Redis once more, even to a full Redis, and
// removes the fields. It retries until ctx is done and logs how many counts were lost.
func (u *Counters) Stop(ctx context.Context) {
	u.flushing.Lock()
	defer u.flushing.Unlock()
	var left []*Counter
	for {
		for _, c := range u.all() {
			if u.retireNow(c) > 0 {
				left = append(left, c)
			}
		}
		sent := left
		left = u.send(ctx, left, true)
		u.removing = append(u.removing, without(sent, left)...)
		u.removeFields(ctx)
		if len(left) == 0 && len(u.removing) == 0 && len(u.all()) == 0 {
			return
		}
		t := time.NewTimer(stopRetry)
		select {
		case <-t.C:
			continue
		case <-ctx.Done():
			t.Stop()
		}
		break
	}
	lost := u.Pending()
	for _, c := range left {
		lost += c.pending()
	}
	if lost > 0 {
		u.logger.Error("usage counts lost: redis did not accept them before the stop", "lost", lost, "keys", len(left))
	}
}

// without returns the counters of all that are not in some.
func without(all, some []*Counter) []*Counter {
	drop := make(map[*Counter]bool, len(some))
	for _, c := range some {
		drop[c] = true
	}
	var rest []*Counter
	for _, c := range all {
		if !drop[c] {
			rest = append(rest, c)
		}
	}
	return rest
}

// unanswered reports whether err is not an answer of Redis, but the lack of one.
func unanswered(err error) bool {
	var reply redis.Error
	return err != nil && !errors.As(err, &reply)
}
