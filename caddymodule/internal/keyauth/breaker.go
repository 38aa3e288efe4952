package keyauth

// This file is the circuit breaker: after one read got no answer, the other requests do not wait
// for the same Redis.
//
// A breaker is closed while Redis answers, and open after a conclusive read got no answer
// (conclusiveReadTime). While it is open, no request waits for Redis: a held key that is young
// enough is admitted, and everything else is key_store_unavailable. Instead of letting requests
// through while half-open, a probe reads what could not be read, every probeInterval.
//
// Invariant: a breaker opens only after a conclusive read without an answer. It closes when Redis
// answers a read or a probe, when the follower reports that Redis is back, or by itself after
// breakerTimeout.
//
// In a Cluster, one shard may be unreachable while the others serve, so there is a breaker for each
// range of hash slots. Elsewhere there is one.

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/cache"
)

const (
	breakerTimeout = time.Second            // how long one failure keeps the breaker open
	probeInterval  = 100 * time.Millisecond // between two probes
	probeTimeout   = 500 * time.Millisecond // of one probe
)

// slotRanges is how many ranges of hash slots are distinguished. Shards own ranges of slots, and
// few shards share one of these.
const slotRanges = 64

type breaker struct {
	openUntil atomic.Int64           // on the age clock
	name      atomic.Pointer[string] // of the key that could not be read last
}

func (b *breaker) open(now cache.Instant) bool { return now.Age < b.openUntil.Load() }

func (b *breaker) close() { b.openUntil.Store(0) }

// breakers are the breakers of a store.
type breakers struct {
	cluster bool
	all     [slotRanges]breaker
	woken   chan struct{} // holds an element while there is something to probe
}

// of returns the breaker for a key of Redis.
func (bs *breakers) of(name string) *breaker {
	if !bs.cluster {
		return &bs.all[0]
	}
	return &bs.all[int(hashSlot(name))*slotRanges/hashSlots]
}

// note records whether the read of name got an answer.
func (bs *breakers) note(name string, unanswered bool, now cache.Instant) {
	b := bs.of(name)
	if !unanswered {
		if b.open(now) {
			b.close()
		}
		return
	}
	b.name.Store(&name)
	b.openUntil.Store(now.Age + int64(breakerTimeout))
	select {
	case bs.woken <- struct{}{}:
	default:
	}
}

// closeAll closes every breaker.
func (bs *breakers) closeAll() {
	for i := range bs.all {
		bs.all[i].close()
	}
}

// failed returns, for each open breaker, the name of the key that could not be read.
func (bs *breakers) failed(now cache.Instant) (names []string) {
	for i := range bs.all {
		if b := &bs.all[i]; b.open(now) {
			names = append(names, *b.name.Load())
		}
	}
	return names
}

// probe asks Redis, while a breaker is open, whether it answers again. It returns when ctx is done.
func (a *Auth) probe(ctx context.Context) {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.breakers.woken:
		}
		for {
			names := a.breakers.failed(a.clock.Now())
			if len(names) == 0 {
				break
			}
			bounded, cancel := context.WithTimeout(ctx, probeTimeout)
			hashes := a.reader.ReadHashes(bounded, names...)
			cancel()
			if ctx.Err() != nil {
				return
			}
			now := a.clock.Now()
			for i, name := range names {
				a.breakers.note(name, unanswered(hashes[i].Err), now)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}

// hashSlots is the number of hash slots of a Cluster.
const hashSlots = 16384

// hashSlot returns the hash slot of a key without braces: CRC-16/XMODEM, which the standard library
// does not have.
func hashSlot(name string) uint16 {
	var crc uint16
	for i := range len(name) {
		crc ^= uint16(name[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc % hashSlots
}
