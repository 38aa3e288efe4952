package keyauth

// This file holds the valid cache and the negative cache, and stops trusting what was changed.
//
// Package config/cache decides what is stored and who may use it (invariants 1 to 3): requests that
// miss share one read, an announced change wins over a read in flight, and a gap makes older
// records suspect. It calls the methods of lookups under the lock of a key's shard.
//
// Invariant: a key is in at most one of the two caches, and only the methods of lookups put it
// there or take it out. Looking a key up needs no lock but that of the LRU's shard.
//
// Lock order: a shard of config/cache, then a shard of an LRU, then nothing.

import (
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/cache"
)

const (
	// negativeTTL is how long a refused key is remembered (specification.md, section 5).
	negativeTTL = 5 * time.Second
	// negativeSize is how many refused keys are remembered.
	negativeSize = 16384
)

// lookupResult is the answer of Redis about a key: either a valid key or a refusal.
type lookupResult struct {
	entry   *entry
	refusal *Refusal
	subject *Subject // of a refusal, if the key is known
}

// negativeEntry is a key that was refused when it was read.
type negativeEntry struct {
	refusal *Refusal
	subject *Subject
	stamp   cache.Stamp
}

// lookups is the cache.Storage of an Auth.
type lookups struct{ *Auth }

// Get implements cache.Storage.
func (l lookups) Get(d digest) (result lookupResult, stamp cache.Stamp, ttl time.Duration, ok bool) {
	if e, ok := l.valid.Load().get(&d); ok {
		return lookupResult{entry: e}, e.stamp, l.settings.Load().ttl, true
	}
	n, ok := l.negative.get(&d)
	return lookupResult{refusal: n.refusal, subject: n.subject}, n.stamp, negativeTTL, ok
}

// Put implements cache.Storage. A key that has expired by now goes to the negative cache.
func (l lookups) Put(d digest, result lookupResult, stamp cache.Stamp) {
	if e := result.entry; e != nil && l.clock.Now().Wall < e.expires {
		l.negative.remove(&d)
		if evicted := l.valid.Load().put(&d, e); evicted {
			l.metrics.evictions.Add(1)
		}
		return
	}
	refusal, subject := result.refusal, result.subject
	if refusal == nil {
		refusal, subject = refuseExpired, result.entry.subject()
	}
	l.valid.Load().remove(&d)
	l.negative.put(&d, negativeEntry{refusal, subject, stamp})
}

// Delete implements cache.Storage. It reports whether a valid key was held.
func (l lookups) Delete(d digest) bool {
	_, held := l.valid.Load().remove(&d)
	l.negative.remove(&d)
	return held
}

// KeyChanged stops trusting what is known of the key with this sha256 hex, valid or refused, and
// what a read in flight will say of it. It implements changes.KeyHandler.
func (a *Auth) KeyChanged(hash string, announced time.Time) {
	d, ok := parseDigest(hash)
	if !ok {
		return // an entry that names no key changes no key
	}
	if held := a.cache.Forget(d); held {
		delay := time.Duration(a.clock.Now().Wall - announced.UnixNano())
		a.metrics.revocationDelay.Observe(max(0, delay.Seconds()))
	}
}

// Gap makes every record be read again before its next use. It implements changes.KeyHandler.
func (a *Auth) Gap() {
	a.cache.Gap()
	a.breakers.closeAll() // the follower reports a gap when Redis answers again
}
