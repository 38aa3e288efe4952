package keyauth

import (
	"context"
	"errors"
	"time"
)

// This file reads held keys again before they are too old, so that a key in use never waits for Redis, and an outage finds what is in use
// good for half its life at least.

// refreshBatch is how many keys are read in one pipeline.
const refreshBatch = 256

// refresh looks, again and again, which keys are due, until ctx is done.
func (a *Auth) refresh(ctx context.Context) {
	for {
		// Often enough that no key gets far beyond its half unread.
		every := min(time.Second, max(a.settings.Load().ttl/20, 5*time.Millisecond))
		t := time.NewTimer(every)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
			a.refreshDue(ctx)
		}
	}
}

// refreshDue reads again every key that was used since its last read and is past half its life, or from before a gap. It stops where Redis
// gives no answer; the next round tries again.
func (a *Auth) refreshDue(ctx context.Context) {
	now := a.clock.now() // noting steps of the wall clock too, also where no request comes
	if a.breaker.open(now) {
		return
	}
	half, epoch := a.settings.Load().ttl/2, a.epoch.Load()
	held := a.held.Load()
	var due []*entry
	for i := range held.shards {
		for _, e := range held.shards[i].values() {
			if !e.used.Load() || now.since(e.read) < half && e.epoch == epoch {
				continue
			}
			if due = append(due, e); len(due) == refreshBatch {
				if !a.refreshAll(ctx, due) {
					return
				}
				due = due[:0]
			}
		}
	}
	a.refreshAll(ctx, due)
}

// refreshAll reads these keys in one pipeline and reports whether Redis answered. Like any read, each can be joined, and is not kept where a
// change is announced meanwhile.
func (a *Auth) refreshAll(ctx context.Context, due []*entry) (answered bool) {
	var (
		flights []*flight
		entries []*entry
		names   []string
	)
	for _, e := range due {
		if f, mine := a.join(&e.digest); mine {
			flights, entries, names = append(flights, f), append(entries, e), append(names, a.keyName(&e.digest))
		}
	}
	if len(flights) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	before := a.clock.now()
	hashes := a.reader.ReadHashes(ctx, names...)
	failed := false
	for i, f := range flights {
		d := &entries[i].digest
		failed = failed || unanswered(hashes[i].Err)
		a.conclude(d, f, a.judge(*d, hashes[i], before, f.epoch))
	}
	if !errors.Is(ctx.Err(), context.Canceled) { // nobody waits for what was broken off by the end of Run
		a.breaker.note(failed, a.clock.now())
	}
	return !failed
}
