package keyauth

// This file reads held keys again before they are too old, so that a key in use never waits for
// Redis, and an outage finds each key in use valid for half its TTL at least.

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/cache"
)

// refreshBatchSize is how many keys are read in one pipeline.
const refreshBatchSize = 256

// refresh reads the keys that are due, again and again, until ctx is done.
func (a *Auth) refresh(ctx context.Context) {
	for {
		t := time.NewTimer(a.settings.Load().scanInterval())
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
			a.refreshDue(ctx)
		}
	}
}

// scanInterval is the time between two scans for keys that are due.
func (s *settings) scanInterval() time.Duration {
	return min(time.Second, max(s.ttl/20, 5*time.Millisecond))
}

// refreshAfter is the age from which a used key is due. A younger key will not be past half its TTL
// at the next scan either.
func (s *settings) refreshAfter() time.Duration { return s.ttl/2 - s.scanInterval()*3/2 }

// markUsed notes that a request was admitted from the cache. The order of its two steps matters: a
// scan that runs between them misses the first step, but then the second step schedules another
// scan.
func (a *Auth) markUsed(e *entry) {
	if e.used.Load() {
		return
	}
	e.used.Store(true)
	dueAt := e.stamp.ReadAt.Age + int64(a.settings.Load().refreshAfter())
	a.valid.Load().shard(&e.digest).scheduleScan(dueAt)
}

// scheduleScan makes the shard be scanned at that moment of the age clock, or earlier.
func (sh *shard[V]) scheduleScan(moment int64) {
	for at := sh.refreshScanAt.Load(); moment < at && !sh.refreshScanAt.CompareAndSwap(at, moment); at = sh.refreshScanAt.Load() {
	}
}

// scheduleScanOfAll makes every shard be scanned next time.
func (l *shardedLRU[V]) scheduleScanOfAll() {
	for i := range l.shards {
		l.shards[i].refreshScanAt.Store(math.MinInt64)
	}
}

// refreshDue reads every key again that was used since its last read and either will be past half
// its TTL before the next scan, or was read before a gap. It stops when Redis gives no answer; the
// next scan retries.
//
// Invariant: the refreshScanAt of a shard is not later than the moment at which the first of its
// used keys is due. It is set to the far future before the shard is scanned; the scan and markUsed
// move it to an earlier moment.
func (a *Auth) refreshDue(ctx context.Context) {
	now := a.clock.Now() // also notes steps of the wall clock if no requests come
	valid := a.valid.Load()
	if generation := a.cache.Generation(); a.refreshedGeneration.Swap(generation) != generation {
		valid.scheduleScanOfAll()
	}
	refreshAfter := a.settings.Load().refreshAfter()
	var due []*entry
	answered := true
	for i := range valid.shards {
		sh := &valid.shards[i]
		if now.Age < sh.refreshScanAt.Load() {
			continue
		}
		sh.refreshScanAt.Store(math.MaxInt64)
		for _, e := range sh.values() {
			switch {
			case !e.used.Load():
			case a.cache.Fresh(e.stamp, now, refreshAfter):
				sh.scheduleScan(e.stamp.ReadAt.Age + int64(refreshAfter))
			default:
				due = append(due, e)
			}
		}
		for ; answered && len(due) >= refreshBatchSize; due = due[refreshBatchSize:] {
			answered = a.refreshBatch(ctx, due[:refreshBatchSize])
		}
	}
	if answered {
		a.refreshBatch(ctx, due)
	} else {
		a.retryAtNextScan(due)
	}
}

// retryAtNextScan makes the next scan look at the shards of those keys whose held record is still
// the same.
func (a *Auth) retryAtNextScan(due []*entry) {
	valid := a.valid.Load()
	for _, e := range due {
		if current, ok := valid.get(&e.digest); ok && current == e {
			valid.shard(&e.digest).scheduleScan(math.MinInt64)
		}
	}
}

// refreshBatch reads these keys in one pipeline and reports whether Redis answered. Like any read,
// each can be joined, and its answer is not stored if a change is announced meanwhile. Keys whose
// breaker is open are left for later.
func (a *Auth) refreshBatch(ctx context.Context, due []*entry) (answered bool) {
	var (
		calls   []*cache.Call[lookupResult]
		entries []*entry
		names   []string
	)
	defer a.retryAtNextScan(due) // retry entries that were skipped or got no answer
	now := a.clock.Now()
	for _, e := range due {
		name := a.keyName(&e.digest)
		if a.breakers.of(name).open(now) {
			continue
		}
		if call, mine := a.cache.Begin(e.digest); mine {
			calls, entries, names = append(calls, call), append(entries, e), append(names, name)
		}
	}
	if len(calls) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	hashes := a.reader.ReadHashes(ctx, names...)
	now = a.clock.Now()
	answered = true
	for i, call := range calls {
		d, failed := entries[i].digest, unanswered(hashes[i].Err)
		answered = answered && !failed
		// A read cut off by the end of Run says nothing.
		if !errors.Is(ctx.Err(), context.Canceled) {
			a.breakers.note(names[i], failed, now)
		}
		result, err := a.parseRecord(d, hashes[i], call.Stamp())
		a.cache.Finish(d, call, result, err)
	}
	return answered
}
