package keyauth

import (
	"context"
	"strings"
	"sync/atomic"
	"time"
)

// This file spares requests the wait for a Redis that has just failed to answer another.
//
// Invariant: it opens only when a read failed that had readTime at least, and closes when Redis answers anything, when the follower has
// Redis before it, or by itself after breakerTime where nobody asks. While it is open no request waits for Redis: what is held and fresh
// enough counts, anything else is key_store_unavailable.

const (
	breakerTime  = time.Second            // how long one failure opens it
	probeEvery   = 100 * time.Millisecond // how often Redis is asked whether it is back
	probeTimeout = 500 * time.Millisecond // how long it may think about that
)

type breaker struct {
	until atomic.Int64  // open before this, on the age clock
	woken chan struct{} // holds one when there is something to probe
}

// note takes in whether a read was left without an answer.
func (b *breaker) note(unanswered bool, now instant) {
	switch {
	case unanswered:
		b.trip(now)
	case b.open(now):
		b.close()
	}
}

func (b *breaker) trip(now instant) {
	b.until.Store(now.age + int64(breakerTime))
	select {
	case b.woken <- struct{}{}:
	default:
	}
}

func (b *breaker) close() { b.until.Store(0) }

func (b *breaker) open(now instant) bool { return now.age < b.until.Load() }

// probe asks Redis, while the breaker is open, whether it is back. It returns when ctx is done.
func (a *Auth) probe(ctx context.Context) {
	nobody := a.names.Key(strings.Repeat("0", 2*len(digest{}))) // a name that no key has
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.breaker.woken:
		}
		for a.breaker.open(a.clock.now()) {
			asked, cancel := context.WithTimeout(ctx, probeTimeout)
			err := a.reader.ReadHashes(asked, nobody)[0].Err // an error that Redis answers with is an answer
			cancel()
			switch {
			case ctx.Err() != nil:
				return
			case !unanswered(err):
				a.breaker.close()
			default:
				a.breaker.until.Store(a.clock.now().age + int64(breakerTime))
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		}
	}
}
