package keyauth

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// This file brings counts to Redis about every second, again after Redis may have lost them, and for the last time at a graceful stop.

const (
	flushEvery = time.Second
	flushTime  = 2 * time.Second        // how long one pipeline may take
	flushBatch = 500                    // totals in one pipeline
	resendGap  = 5 * time.Second        // between two resends of everything
	idleAfter  = 10 * time.Minute       // a counter that did not change for so long leaves the memory
	stopRetry  = 100 * time.Millisecond // between the attempts of the last flush
	sweepEvery = 24 * time.Hour         // how often the silent processes of a key are looked for
	// renewAfter is how long after the last sign of life in Redis a field is not believed to be there any more: others fold it after
	// silentAfter, and a total sent to a field that was folded would count twice.
	renewAfter = silentAfter - 24*time.Hour
)

// run flushes until ctx is done.
func (u *usage) run(ctx context.Context) {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			u.flush(ctx)
		}
	}
}

// flush sends what Redis is not known to have, and everything where it may have lost something, and lets go of what was idle for long.
func (u *usage) flush(ctx context.Context) {
	u.flushing.Lock()
	defer u.flushing.Unlock()
	now := time.Since(u.started)
	if now-u.resentAt >= resendGap && u.resend.Swap(false) {
		u.round++
		u.resentAt = now
	}
	var due []*counter
	for _, c := range u.all() {
		t := c.total()
		switch {
		case t != c.acked.Load():
			c.changed = now
			due = append(due, u.renewed(c))
		case c.round != u.round && t > 0:
			due = append(due, u.renewed(c))
		case now-c.changed > idleAfter && u.retire(c, t) && t > 0:
			u.folding = append(u.folding, c)
		}
	}
	u.send(ctx, due, false)
	u.fold(ctx)
}

// renewed returns c, or, where its field may have been folded away by others, a successor that counts on from what Redis had.
func (u *usage) renewed(c *counter) *counter {
	if c.ackedAt == 0 || time.Since(time.Unix(c.ackedAt, 0)) < renewAfter {
		return c
	}
	t := c.total()
	for !u.retire(c, t) {
		t = c.total()
	}
	next := u.counter(c.id)
	next.state.Add(t - c.acked.Load())
	next.last.Store(max(next.last.Load(), c.last.Load()))
	return next
}

// send brings the totals of these counters to Redis and returns those that are not there. It gives up where Redis does not answer or is
// full; free is for the last time, when nothing can wait in memory any more.
func (u *usage) send(ctx context.Context, due []*counter, free bool) (left []*counter) {
	if len(due) == 0 {
		return nil
	}
	var failure error
	for len(due) > 0 {
		batch := due[:min(len(due), flushBatch)]
		err := u.sendBatch(ctx, batch, free, &left)
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

// sendBatch sends one pipeline, adds to left what did not get through, and returns the worst of what went wrong.
func (u *usage) sendBatch(ctx context.Context, batch []*counter, free bool, left *[]*counter) (failure error) {
	ctx, cancel := context.WithTimeout(ctx, flushTime)
	defer cancel()
	now := time.Now().Unix()
	totals := make([]total, len(batch))
	for i, c := range batch {
		// The count goes first: what it counts was noted as last use before.
		totals[i] = total{id: c.id, field: c.field, count: c.total(), last: c.last.Load()}
		totals[i].sweep = now-c.sweptAt >= int64(sweepEvery/time.Second)
	}
	for i, err := range u.counts.send(ctx, totals, free) {
		c := batch[i]
		if err != nil {
			*left = append(*left, c)
			if !unanswered(err) { // so it is about this key, or about all of them
				err = fmt.Errorf("counting the use of key %s: %w", c.id, err)
			}
			if failure == nil || unanswered(err) {
				failure = err
			}
			continue
		}
		c.acked.Store(totals[i].count)
		c.ackedAt, c.round = now, u.round
		if totals[i].sweep {
			c.sweptAt = now
		}
	}
	if unanswered(failure) {
		u.suspect()
	}
	return failure
}

// report counts a flush and writes a line when it begins or ends to fail.
func (u *usage) report(failure error) {
	before := u.trouble
	switch {
	case failure == nil:
		u.trouble = ""
	case unanswered(failure):
		u.trouble = "usage counts do not reach redis; they wait in memory"
	case redis.HasErrorPrefix(failure, "OOM"):
		u.trouble = "redis is full (maxmemory); usage counts wait in memory"
	default:
		u.trouble = "redis does not take some usage counts; they wait in memory"
	}
	if failure == nil {
		u.metrics.flushes[flushOK].Add(1)
		if before != "" {
			u.logger.Info("usage counts reach redis again")
		}
		return
	}
	u.metrics.flushes[flushFailed].Add(1)
	if u.trouble != before {
		u.logger.Warn(u.trouble, "error", failure, "pending", u.pending())
	}
}

// fold removes the fields of retired counters. What fails is tried again by the next flush; what was never removed is folded away by others.
func (u *usage) fold(ctx context.Context) {
	var again []*counter
	for rest := u.folding; len(rest) > 0; {
		batch := rest[:min(len(rest), flushBatch)]
		rest = rest[len(batch):]
		totals := make([]total, len(batch))
		for i, c := range batch {
			totals[i] = total{id: c.id, field: c.field}
		}
		bounded, cancel := context.WithTimeout(ctx, flushTime)
		failed := false
		for i, err := range u.counts.fold(bounded, totals) {
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
	u.folding = again
}

// stop retires all counters, brings every total to Redis once more, even to a full one, and folds the fields away. It tries until ctx is
// done and logs how many counts were lost.
func (u *usage) stop(ctx context.Context) {
	u.flushing.Lock()
	defer u.flushing.Unlock()
	var left []*counter
	for {
		for _, c := range u.all() {
			t := c.total()
			for !u.retire(c, t) {
				t = c.total()
			}
			if t > 0 {
				left = append(left, c)
			}
		}
		sent := left
		left = u.send(ctx, left, true)
		u.folding = append(u.folding, without(sent, left)...)
		u.fold(ctx)
		if len(left) == 0 && len(u.folding) == 0 && len(u.all()) == 0 {
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
	lost := u.pending()
	for _, c := range left {
		lost += c.total() - min(c.acked.Load(), c.total())
	}
	if lost > 0 {
		u.logger.Error("usage counts were lost: redis did not take them before the stop", "lost", lost, "keys", len(left))
	}
}

// without returns what of all is not in some.
func without(all, some []*counter) []*counter {
	drop := make(map[*counter]bool, len(some))
	for _, c := range some {
		drop[c] = true
	}
	var rest []*counter
	for _, c := range all {
		if !drop[c] {
			rest = append(rest, c)
		}
	}
	return rest
}
