package keyauth

// This file takes a request to its verdict: the short way through the valid cache, and the long way
// through Redis.

import (
	"context"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/redact"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/cache"
)

// Authenticate decides about a request with these values of its Authorization header, one value a
// line. It counts the verdict in the metrics and, if the request is admitted, as a use of its key.
// The client's address limits floods of unknown keys; it is text, so that a held key does not pay
// for parsing it. Authenticate returns within a second.
func (a *Auth) Authenticate(ctx context.Context, values []string, clientIP string) Verdict {
	began := a.clock.Now()
	cred, refusal := parseAuthorization(values)
	if refusal != nil {
		return a.refuse(refusal, hintIn(values))
	}
	s := a.settings.Load()
	if s.requireChecksum && !apikey.ChecksumOK(cred.key) {
		return a.refuse(malformedChecksum, cred.subject())
	}
	d := cred.digest()
	// The time was taken before the lookup, so the entry looks younger by as long as that took.
	if e, ok := a.valid.Load().get(&d); ok && a.cache.Fresh(e.stamp, began, s.ttl) {
		return a.fromValidCache(e, began)
	}
	v, source := a.lookUp(ctx, d, clientIP, began)
	if v.Refusal == nil {
		a.metrics.results[resultAllowed].Add(1)
	} else {
		if v.Refusal == refuseUnknown && !apikey.ChecksumOK(cred.key) {
			v.Refusal = refuseMistyped
		}
		if v.Subject == nil {
			v.Subject = cred.subject()
		}
		a.metrics.refused(v.Refusal)
	}
	if source != sourceNone {
		a.metrics.lookups[source].Add(1)
		a.metrics.durations[source].Observe(time.Duration(a.clock.Now().Age - began.Age).Seconds())
	}
	return v
}

// refuse returns and counts the verdict on a request that needed no lookup.
func (a *Auth) refuse(f *Refusal, s *Subject) Verdict {
	a.metrics.refused(f)
	return Verdict{Refusal: f, Subject: s}
}

// hintIn returns the hint of the first key in the values of a header, which may be malformed.
func hintIn(values []string) *Subject {
	for _, v := range values {
		if hint := redact.Hint(v); hint != "" {
			return &Subject{Hint: hint}
		}
	}
	return nil
}

// touchEvery and touchAtLast say how often a used entry is moved to the front of its LRU: after
// touchEvery if the shard's lock is free, after touchAtLast in any case.
const (
	touchEvery  = time.Second
	touchAtLast = 5 * time.Second
)

// fromValidCache returns the verdict on a request whose key is held, and counts it.
func (a *Auth) fromValidCache(e *entry, now cache.Instant) Verdict {
	if now.Wall >= e.expires { // the wall clock alone: an expiry is a moment on the calendar
		a.metrics.lookups[sourceCache].Add(1)
		return a.refuse(refuseExpired, e.subject())
	}
	a.usage.Add(e.counter, now.Wall)
	a.markUsed(e)
	if idle := now.Age - e.touched.Load(); idle > int64(touchEvery) {
		if a.valid.Load().touch(&e.digest, idle > int64(touchAtLast)) {
			e.touched.Store(now.Age)
		}
	}
	if a.metrics.cacheHit(&e.digest) {
		a.metrics.durations[sourceCache].Observe(time.Duration(a.clock.Now().Age - now.Age).Seconds())
	}
	return Verdict{Key: &e.Record}
}

// requestTimeout bounds all waits of one request together (invariant 6): for a reservation among
// the client's reads, for a read slot of the process, and for the read.
const requestTimeout = 900 * time.Millisecond

// lookUp returns the verdict on a key that is not fresh in the valid cache: from the negative
// cache, from the read of another request, or from a read of its own.
func (a *Auth) lookUp(ctx context.Context, d digest, clientIP string, began cache.Instant) (Verdict, source) {
	if n, ok := a.negative.get(&d); ok && a.cache.Fresh(n.stamp, began, negativeTTL) {
		return Verdict{Refusal: n.refusal, Subject: n.subject}, sourceNegative
	}
	name := a.keyName(&d)
	if a.breakers.of(name).open(began) {
		return a.verdictFromStale(&d), sourceShared
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if call := a.cache.Joinable(d); call != nil {
		return a.wait(ctx, &d, call), sourceShared
	}
	var res *reservation
	if _, held := a.valid.Load().get(&d); !held { // a held key is never slowed down
		var refusal *Refusal
		if res, refusal = a.limiter.acquire(ctx, clientIP, a.settings.Load()); refusal != nil {
			return Verdict{Refusal: refusal}, sourceNone
		}
	}
	call, mine := a.cache.BeginUnlessFresh(d)
	if !mine {
		res.release(false)
		return a.wait(ctx, &d, call), sourceShared
	}
	result, err := a.fetch(ctx, &d, name, call)
	res.release(err == nil && result.refusal == refuseUnknown)
	return a.verdictOf(&d, result, err), sourceRedis
}

// wait returns the verdict of another request's read.
func (a *Auth) wait(ctx context.Context, d *digest, call *cache.Call[lookupResult]) Verdict {
	result, err := call.Wait(ctx)
	return a.verdictOf(d, result, err)
}

// verdictOf turns the result of a read into a verdict. The error says that there was no answer.
func (a *Auth) verdictOf(d *digest, result lookupResult, err error) Verdict {
	switch {
	case err != nil:
		return a.verdictFromStale(d)
	case result.refusal != nil:
		return Verdict{Refusal: result.refusal, Subject: result.subject}
	}
	now := a.clock.Now()
	if now.Wall >= result.entry.expires {
		return Verdict{Refusal: refuseExpired, Subject: result.entry.subject()}
	}
	a.usage.Add(result.entry.counter, now.Wall)
	return Verdict{Key: &result.entry.Record}
}

// verdictFromStale returns the verdict when Redis gives no answer: a held record is used until it
// is too old, also if it is suspect after a gap. The record is looked up only now, because a change
// may have been announced while the request waited.
func (a *Auth) verdictFromStale(d *digest) Verdict {
	e, ok := a.valid.Load().get(d)
	now := a.clock.Now()
	switch {
	case !ok:
		return Verdict{Refusal: refuseUnavailable}
	case !a.cache.StaleIfError(e.stamp, now, a.settings.Load().ttl):
		return Verdict{Refusal: refuseUnavailable, Subject: e.subject()}
	case now.Wall >= e.expires:
		return Verdict{Refusal: refuseExpired, Subject: e.subject()}
	}
	a.usage.Add(e.counter, now.Wall)
	a.markUsed(e)
	return Verdict{Key: &e.Record}
}
