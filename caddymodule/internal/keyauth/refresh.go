package keyauth

import (
	"context"
	"errors"
	"math"
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

// young is below which age a used key is not due: it will not be past half its life at the next look either.
func (s *settings) young() time.Duration { return s.ttl/2 - s.lookEvery()*3/2 }

// noteUse notes that a request was let in from the cache. The order of its two steps matters: a look that comes between them misses the
// first, but then the second has it look again.
func (a *Auth) noteUse(e *entry) {
	if e.used.Load() {
		return
	}
	e.used.Store(true)
	a.held.Load().of(&e.digest).lookAt(e.read.age + int64(a.settings.Load().young()))
}

// lookAt has the shard looked through at that moment of the age clock, if it is not before.
func (sh *shard[V]) lookAt(moment int64) {
	for due := sh.due.Load(); moment < due && !sh.due.CompareAndSwap(due, moment); due = sh.due.Load() {
	}
}

// lookAtAll has every shard looked through next time.
func (s *space[V]) lookAtAll() {
	for i := range s.shards {
		s.shards[i].due.Store(math.MinInt64)
	}
}

// refreshDue reads again every key that was used since its last read and will be past half its life before the next look, or is from before
// a gap. It stops where Redis gives no answer; the next look tries again.
//
// Invariant: a shard's due is not after the moment at which the first of its used keys is due. It is put off before the shard is looked
// through, and whoever finds a key that will be due later, or notes a use, puts it forward again.
func (a *Auth) refreshDue(ctx context.Context) {
	now := a.clock.now() // noting steps of the wall clock too, also where no request comes
	epoch, held := a.epoch.Load(), a.held.Load()
	if a.looked.Swap(epoch) != epoch {
		held.lookAtAll()
	}
	young := a.settings.Load().young()
	var due []*entry
	answered := true
	for i := range held.shards {
		sh := &held.shards[i]
		if now.age < sh.due.Load() {
			continue
		}
		sh.due.Store(math.MaxInt64)
		for _, e := range sh.values() {
			switch {
			case !e.used.Load():
			case now.since(e.read) < young && e.epoch == epoch:
				sh.lookAt(e.read.age + int64(young))
			default:
				due = append(due, e)
			}
		}
		for ; answered && len(due) >= refreshBatch; due = due[refreshBatch:] {
			answered = a.refreshAll(ctx, due[:refreshBatch])
		}
	}
	if answered {
		a.refreshAll(ctx, due)
	} else {
		a.lookAgain(due)
	}
}

// lookAgain has the shards of those keys that are still held as they were looked through next time.
func (a *Auth) lookAgain(due []*entry) {
	held := a.held.Load()
	for _, e := range due {
		if current, ok := held.get(&e.digest); ok && current == e {
			held.of(&e.digest).lookAt(math.MinInt64)
		}
	}
}

// refreshAll reads these keys in one pipeline and reports whether Redis answered. Like any read, each can be joined, and is not kept where a
// change is announced meanwhile. Keys whose breaker is open are left for later.
func (a *Auth) refreshAll(ctx context.Context, due []*entry) (answered bool) {
	var (
		flights []*flight
		entries []*entry
		names   []string
	)
	defer a.lookAgain(due) // at what was not read, or not answered, for whichever reason
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
