package keyauth

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

// This file takes a request to its verdict: the short way through the cache, and the long way through Redis.

// Invariant 6: all waits of one request end requestTime after the first began. Of that, the waits for a place (among the client's reads, then
// among the process's) may take so much that the read still has leastTime. A read that had readTime and failed says that Redis is away; one
// that had less says nothing.
const (
	requestTime = 900 * time.Millisecond
	readTime    = 400 * time.Millisecond
	leastTime   = 100 * time.Millisecond
)

// refusedFor is how long a refused key is remembered (specification.md, section 5).
const refusedFor = 5 * time.Second

// maxReads is how many requests of this process may be asking Redis at the same time.
const maxReads = 256

// touchEvery and touchAtLast say how often a used entry is moved to the front of its LRU: as soon as nobody else is at the shard, or whoever is.
const (
	touchEvery  = time.Second
	touchAtLast = 5 * time.Second
)

// Authenticate decides about a request with these values of its Authorization header, one a line. The client's address (as text, so that it
// costs nothing where it does not matter) is only used against floods of unknown keys. It takes a second at most.
func (a *Auth) Authenticate(ctx context.Context, values []string, clientIP string) Verdict {
	began := a.clock.now()
	cred, refusal := parseAuthorization(values)
	if refusal != nil {
		return a.refuse(refusal)
	}
	s := a.settings.Load()
	if s.requireChecksum && !config.ChecksumOK(cred.key) {
		return a.refuse(malformedChecksum)
	}
	d := cred.digest()
	// Taking the time before looking makes the entry look younger by as long as looking takes.
	if e, ok := a.held.Load().get(&d); ok && e.epoch == a.epoch.Load() && began.since(e.read) < s.ttl {
		return a.fromCache(e, began)
	}
	v, source := a.lookUp(ctx, d, clientIP, began)
	if v.Refusal == nil {
		a.metrics.results[resultAllowed].Add(1)
	} else {
		if v.Refusal == refuseUnknown && !config.ChecksumOK(cred.key) {
			v.Refusal = refuseMistyped
		}
		a.metrics.refused(v.Refusal)
	}
	if source != sourceNone {
		a.metrics.lookups[source].Add(1)
		a.metrics.durations[source].Observe(time.Duration(a.clock.now().age - began.age).Seconds())
	}
	return v
}

// refuse refuses and counts a request that needed no lookup.
func (a *Auth) refuse(f *Refusal) Verdict {
	a.metrics.refused(f)
	return Verdict{Refusal: f}
}

// fromCache is the verdict on a request whose key is held, with all that is counted of it.
func (a *Auth) fromCache(e *entry, now instant) Verdict {
	if now.wall >= e.expires { // the wall clock alone: an expiry is a moment on the calendar
		a.metrics.lookups[sourceCache].Add(1)
		return a.refuse(refuseExpired)
	}
	a.usage.count(e, now.wall)
	a.noteUse(e)
	if idle := now.age - e.touched.Load(); idle > int64(touchEvery) {
		if a.held.Load().touch(&e.digest, idle > int64(touchAtLast)) {
			e.touched.Store(now.age)
		}
	}
	if a.metrics.cacheHit(&e.digest) {
		a.metrics.durations[sourceCache].Observe(time.Duration(a.clock.now().age - now.age).Seconds())
	}
	return Verdict{Key: &e.Record}
}

// lookUp is the long way: a refused key that is remembered, another's read, or a read of its own.
func (a *Auth) lookUp(ctx context.Context, d digest, clientIP string, began instant) (Verdict, source) {
	if r, ok := a.refused.get(&d); ok && r.epoch == a.epoch.Load() && began.since(r.read) < refusedFor {
		return Verdict{Refusal: r.refusal}, sourceNegative
	}
	name := a.keyName(&d)
	if a.breakers.of(name).open(began) {
		return a.withoutRedis(&d), sourceShared
	}
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if f := a.underway(&d); f != nil {
		return a.await(ctx, &d, f), sourceShared
	}
	var lane *ticket
	if _, held := a.held.Load().get(&d); !held { // a held key passes always, also one that must be read again
		var refusal *Refusal
		if lane, refusal = a.limiter.enter(ctx, clientIP, a.settings.Load()); refusal != nil {
			return Verdict{Refusal: refusal}, sourceNone
		}
	}
	f, mine := a.joinUnlessKnown(&d)
	if !mine {
		lane.leave(false)
		return a.await(ctx, &d, f), sourceShared
	}
	ans := a.fly(ctx, &d, name, f)
	lane.leave(ans.refusal == refuseUnknown)
	return a.settle(&d, ans), sourceRedis
}

// await waits for another's read.
func (a *Auth) await(ctx context.Context, d *digest, f *flight) Verdict {
	select {
	case <-f.done:
		return a.settle(d, f.answer)
	case <-ctx.Done():
		return a.withoutRedis(d)
	}
}

// settle makes a verdict of an answer of Redis.
func (a *Auth) settle(d *digest, ans answer) Verdict {
	switch {
	case ans.refusal == refuseUnavailable:
		return a.withoutRedis(d)
	case ans.refusal != nil:
		return Verdict{Refusal: ans.refusal}
	}
	now := a.clock.now()
	if now.wall >= ans.entry.expires {
		return Verdict{Refusal: refuseExpired}
	}
	a.usage.count(ans.entry, now.wall)
	return Verdict{Key: &ans.entry.Record}
}

// withoutRedis is the verdict where Redis gives no answer: a record that is held counts until it is too old, whatever its epoch. It looks
// for the record only now, for a change may have been announced while the request waited.
func (a *Auth) withoutRedis(d *digest) Verdict {
	e, ok := a.held.Load().get(d)
	now := a.clock.now()
	switch {
	case !ok || now.since(e.read) >= a.settings.Load().ttl:
		return Verdict{Refusal: refuseUnavailable}
	case now.wall >= e.expires:
		return Verdict{Refusal: refuseExpired}
	}
	a.usage.count(e, now.wall)
	a.noteUse(e)
	return Verdict{Key: &e.Record}
}

// fly makes the read f and concludes it. It reads on where the request's client is gone: others may be waiting.
func (a *Auth) fly(ctx context.Context, d *digest, name string, f *flight) (ans answer) {
	ans = answer{refusal: refuseUnavailable}
	defer func() { a.conclude(d, f, ans) }()
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	place := time.NewTimer(time.Until(deadline) - leastTime)
	defer place.Stop()
	select {
	case a.places <- struct{}{}:
		defer func() { <-a.places }()
	case <-place.C:
		return ans
	}
	before := a.clock.now()
	telling := time.Until(deadline) >= readTime
	h := a.reader.ReadHashes(ctx, name)[0]
	if unanswered(h.Err) && time.Until(deadline) > readTime {
		// A connection that broke while it lay idle says nothing about the next one.
		h = a.reader.ReadHashes(ctx, name)[0]
	}
	if !unanswered(h.Err) || telling {
		a.breakers.note(name, unanswered(h.Err), a.clock.now())
	}
	return a.judge(*d, h, before, f.epoch)
}

// unanswered says that err is not what Redis answered, but that it did not.
func unanswered(err error) bool {
	var reply redis.Error
	return err != nil && !errors.As(err, &reply)
}
