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
		t := time.NewTimer(a.settings.Load().lookEvery())
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
			a.refreshDue(ctx)
		}
	}
}

// lookEvery is how often to look for keys that are due.
func (s *settings) lookEvery() time.Duration {
	return min(time.Second, max(s.ttl/20, 5*time.Millisecond))
}

// refreshDue reads again every key that was used since its last read and will be past half its life before the next look, or is from before
// a gap. It stops where Redis gives no answer; the next look tries again.
func (a *Auth) refreshDue(ctx context.Context) {
	now := a.clock.now() // noting steps of the wall clock too, also where no request comes
	s, epoch := a.settings.Load(), a.epoch.Load()
	young := s.ttl/2 - s.lookEvery()*3/2
	held := a.held.Load()
	var due []*entry
	for i := range held.shards {
		for _, e := range held.shards[i].values() {
			if !e.used.Load() || now.since(e.read) < young && e.epoch == epoch {
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
// change is announced meanwhile. Keys whose breaker is open are left for later.
func (a *Auth) refreshAll(ctx context.Context, due []*entry) (answered bool) {
	var (
		flights []*flight
		entries []*entry
		names   []string
	)
	now := a.clock.now()
	for _, e := range due {
		name := a.keyName(&e.digest)
		if a.breakers.of(name).open(now) {
			continue
		}
		if f, mine := a.join(&e.digest); mine {
			flights, entries, names = append(flights, f), append(entries, e), append(names, name)
		}
	}
	if len(flights) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	before := a.clock.now()
	hashes := a.reader.ReadHashes(ctx, names...)
	now = a.clock.now()
	answered = true
	for i, f := range flights {
		d, failed := &entries[i].digest, unanswered(hashes[i].Err)
		answered = answered && !failed
		if !errors.Is(ctx.Err(), context.Canceled) { // what the end of Run broke off says nothing about Redis
			a.breakers.note(names[i], failed, now)
		}
		a.conclude(d, f, a.judge(*d, hashes[i], before, f.epoch))
	}
	return answered
}
