package keyauth

import (
	"context"
	"sync/atomic"
	"time"
)

// This file spares requests the wait for a Redis that has just failed to answer another.
//
// Invariant: a breaker opens only when a read failed that had readTime at least, and closes when Redis answers anything, when the follower
// has Redis before it, or by itself after breakerTime where nobody asks. While it is open no request waits for Redis: what is held and fresh
// enough counts, anything else is key_store_unavailable.
//
// In a Cluster one shard may be away while the others serve, so there is a breaker for each range of hash slots; elsewhere one stands for all.

const (
	breakerTime  = time.Second            // how long one failure opens it
	probeEvery   = 100 * time.Millisecond // how often Redis is asked whether it is back
	probeTimeout = 500 * time.Millisecond // how long it may think about that
)

// slotRanges is how many ranges of hash slots are told apart. Shards own ranges of slots, few of which share one of these.
const slotRanges = 64

type breaker struct {
	until atomic.Int64           // open before this, on the age clock
	name  atomic.Pointer[string] // of what could not be read last
}

func (b *breaker) open(now instant) bool { return now.age < b.until.Load() }

func (b *breaker) close() { b.until.Store(0) }

// breakers are those of a store.
type breakers struct {
	cluster bool
	all     [slotRanges]breaker
	woken   chan struct{} // holds one when there is something to probe
}

// of is the breaker for a key of Redis.
func (bs *breakers) of(name string) *breaker {
	if !bs.cluster {
		return &bs.all[0]
	}
	return &bs.all[int(hashSlot(name))*slotRanges/hashSlots]
}

// note takes in whether the read of name was left without an answer.
func (bs *breakers) note(name string, unanswered bool, now instant) {
	b := bs.of(name)
	if !unanswered {
		if b.open(now) {
			b.close()
		}
		return
	}
	b.name.Store(&name)
	b.until.Store(now.age + int64(breakerTime))
	select {
	case bs.woken <- struct{}{}:
	default:
	}
}

// closeAll closes every one.
func (bs *breakers) closeAll() {
	for i := range bs.all {
		bs.all[i].close()
	}
}

// opened are the names of what could not be read, one for each that is open.
func (bs *breakers) opened(now instant) (names []string) {
	for i := range bs.all {
		if b := &bs.all[i]; b.open(now) {
			names = append(names, *b.name.Load())
		}
	}
	return names
}

// probe asks Redis, while one is open, whether it is back. It returns when ctx is done.
func (a *Auth) probe(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.breakers.woken:
		}
		for {
			names := a.breakers.opened(a.clock.now())
			if len(names) == 0 {
				break
			}
			asked, cancel := context.WithTimeout(ctx, probeTimeout)
			hashes := a.reader.ReadHashes(asked, names...)
			cancel()
			if ctx.Err() != nil {
				return
			}
			now := a.clock.now()
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

// hashSlots is how many hash slots a Cluster has.
const hashSlots = 16384

// hashSlot is the hash slot of a key without braces: CRC-16/XMODEM, which the standard library does not have.
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
