package keyauth

import (
	"sync"
	"time"
)

// This file decides which answers of Redis are kept, and who may use them.
//
// Invariants, all under the lock of the desk that a key belongs to:
//
//   - At most one read of a key is open to be joined: the one in flights. It leaves flights in the step that keeps its answer, and a request
//     starts a read only where neither the read nor its answer is there. So any number of first uses cost one read.
//   - An answer is kept only while its read still stands in flights. An announced change takes it out, and whoever comes later starts a read
//     of his own; those who waited since before get the answer, but nobody else does. So a push wins over a read in flight (invariant 2).
//   - A read is joined only in the epoch in which it began; another takes its place otherwise (invariant 3).
//   - A key is in at most one of held and refused, and is put there, or taken out, by whoever holds the desk's lock. Looking needs no desk.
//
// Lock order: desk, then a shard of a space, then nothing.

const desks = 64

type desk struct {
	mu      sync.Mutex
	flights map[digest]*flight
}

// flight is one read of one key.
type flight struct {
	epoch  uint64        // in which it began
	done   chan struct{} // closed when answer is there
	answer answer
}

func (a *Auth) desk(d *digest) *desk { return &a.desks[int(d[1])%desks] }

// join returns the read of d that is under way, or a new one that the caller must conclude.
func (a *Auth) join(d *digest) (f *flight, mine bool) {
	k := a.desk(d)
	k.mu.Lock()
	defer k.mu.Unlock()
	return a.joinAt(k, d)
}

// joinUnlessKnown is join for a request that found nothing about d a moment ago: a read may have ended since, and its answer will do.
func (a *Auth) joinUnlessKnown(d *digest) (f *flight, mine bool) {
	k := a.desk(d)
	k.mu.Lock()
	defer k.mu.Unlock()
	now, epoch := a.clock.now(), a.epoch.Load()
	if e, ok := a.held.Load().get(d); ok && e.epoch == epoch && now.since(e.read) < a.settings.Load().ttl {
		return &flight{epoch: epoch, done: landed, answer: answer{entry: e}}, false
	}
	if r, ok := a.refused.get(d); ok && r.epoch == epoch && now.since(r.read) < refusedFor {
		return &flight{epoch: epoch, done: landed, answer: answer{refusal: r.refusal}}, false
	}
	return a.joinAt(k, d)
}

// landed is the done of a read that has ended.
var landed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// joinAt is join for who holds the desk k of d.
func (a *Auth) joinAt(k *desk, d *digest) (f *flight, mine bool) {
	epoch := a.epoch.Load()
	if f := k.flights[*d]; f != nil && f.epoch == epoch {
		return f, false
	}
	f = &flight{epoch: epoch, done: make(chan struct{})}
	k.flights[*d] = f
	return f, true
}

// underway returns the read of d that may be joined, or nil.
func (a *Auth) underway(d *digest) *flight {
	k := a.desk(d)
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.flights[*d]; f != nil && f.epoch == a.epoch.Load() {
		return f
	}
	return nil
}

// conclude hands the answer to those who wait for f, and keeps it where nothing was announced meanwhile.
func (a *Auth) conclude(d *digest, f *flight, ans answer) {
	k := a.desk(d)
	k.mu.Lock()
	if k.flights[*d] == f {
		delete(k.flights, *d)
		a.keep(d, f, ans)
	}
	k.mu.Unlock()
	f.answer = ans
	close(f.done)
}

// keep remembers an answer. The caller holds the desk.
func (a *Auth) keep(d *digest, f *flight, ans answer) {
	if ans.refusal == refuseUnavailable {
		return // what is held stays, until it is too old
	}
	now := a.clock.now()
	held := a.held.Load()
	if e := ans.entry; e != nil && now.wall < e.expires {
		a.refused.remove(d)
		if held.put(d, e) {
			a.metrics.evictions.Add(1)
		}
		return
	}
	refusal := ans.refusal
	if refusal == nil {
		refusal = refuseExpired
	}
	held.remove(d)
	a.refused.put(d, refusedKey{refusal: refusal, read: ans.read, epoch: f.epoch})
}

// KeyChanged stops trusting what is known of the key with this sha256 hex, be it good or refused, and what a read in flight will say of it.
// It implements changes.Handler.
func (a *Auth) KeyChanged(hash string, announced time.Time) {
	d, ok := parseDigest(hash)
	if !ok {
		return // an entry that names no key changes none
	}
	k := a.desk(&d)
	k.mu.Lock()
	delete(k.flights, d)
	_, trusted := a.held.Load().remove(&d)
	a.refused.remove(&d)
	k.mu.Unlock()
	if trusted {
		a.metrics.revocationDelay.Observe(max(0, time.Duration(a.clock.now().wall-announced.UnixNano()).Seconds()))
	}
}

// WebhookChanged does nothing. It implements changes.Handler.
func (a *Auth) WebhookChanged(string, time.Time) {}

// Gap makes every record that was read before be read again before its next use. It implements changes.Handler.
func (a *Auth) Gap() {
	a.epoch.Add(1)
	a.breakers.closeAll() // the follower speaks of a gap when it has Redis before it again: ask, rather than believe that it is still down
}
