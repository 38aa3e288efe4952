// Package cache holds answers of Redis for as long as they may be trusted. Changes are pushed: the
// owner of a cache subscribes to them, calls Forget for each changed key, and Gap where changes may
// have been missed.
//
// # Invariants
//
//  1. Age. An answer is fresh for less than its time to live, counted from before its read began,
//     on the wall clock and on the monotonic clock (clock.go). No failure extends that.
//  2. Coalescing. At most one read of a key can be joined. A request begins a read only where there
//     is neither a fresh answer nor a read to join, so any number of first uses cost one read.
//  3. A push wins over a read in flight. When Forget has returned, the answer that was held is
//     gone, the answer of a read that began before is not stored, and no later request joins that
//     read. The requests that have waited for it since before still get its answer.
//  4. Generations. Gap begins a new generation. An answer of an older generation is suspect: it is
//     not fresh, and a read of an older generation is not joined. While Redis gives no answer, a
//     suspect answer may still be used until its time to live is over (StaleIfError).
//  5. A read without an answer changes nothing that is held.
//
// [Cache] enforces them over any [Storage]. [ReadThrough] is the whole of it for values that are
// read in batches and kept in a map.
//
// golang.org/x/sync/singleflight has Forget, but neither batches, nor generations, nor "store the
// answer only if it was not forgotten meanwhile", so the calls in flight are kept here.
package cache

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// Stamp says when a read began. It is kept with the answer.
type Stamp struct {
	ReadAt     Instant // before the read began
	Generation uint64  // the generation in which the read began
}

// Storage keeps answers with their stamps. For one key at a time, a Cache calls it with a lock
// held, so that calls about one key never overlap; calls about different keys may. It must not call
// the Cache.
type Storage[K comparable, V any] interface {
	// Get returns the answer for key, its stamp and its time to live.
	Get(key K) (value V, stamp Stamp, ttl time.Duration, ok bool)
	// Put stores the answer for key in the place of the one before.
	Put(key K, value V, stamp Stamp)
	// Delete removes the answer for key and reports whether there was one.
	Delete(key K) bool
}

// Cache decides which answers are stored and who may use them. It is safe for concurrent use.
//
// Lock order: a shard of Cache, then the locks of Storage.
type Cache[K comparable, V any] struct {
	clock      *Clock
	storage    Storage[K, V]
	generation atomic.Uint64
	seed       maphash.Seed
	shards     [shardCount]callShard[K, V]
}

// shardCount is a power of two.
const shardCount = 64

// callShard holds the calls of its share of the keys that can be joined.
type callShard[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*Call[V]
}

// Call is one read of one key, which any number of requests may wait for.
type Call[V any] struct {
	stamp Stamp
	done  chan struct{} // closed when value and err are set
	value V
	err   error
}

// New returns a Cache of what storage holds.
func New[K comparable, V any](clock *Clock, storage Storage[K, V]) *Cache[K, V] {
	c := &Cache[K, V]{clock: clock, storage: storage, seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].calls = map[K]*Call[V]{}
	}
	return c
}

// Now reads the cache's clock.
func (c *Cache[K, V]) Now() Instant { return c.clock.Now() }

// Generation is the number of the current generation.
func (c *Cache[K, V]) Generation() uint64 { return c.generation.Load() }

// Fresh reports whether an answer with this stamp may be used (invariants 1 and 4).
func (c *Cache[K, V]) Fresh(s Stamp, now Instant, ttl time.Duration) bool {
	return s.Generation == c.generation.Load() && now.Since(s.ReadAt) < ttl
}

// StaleIfError reports whether an answer with this stamp may be used while reads get no answer: its
// age alone decides (invariant 4).
func (c *Cache[K, V]) StaleIfError(s Stamp, now Instant, ttl time.Duration) bool {
	return now.Since(s.ReadAt) < ttl
}

// Joinable returns the read of key that can be joined, or nil.
func (c *Cache[K, V]) Joinable(key K) *Call[V] {
	sh := c.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if call := sh.calls[key]; call != nil && call.stamp.Generation == c.generation.Load() {
		return call
	}
	return nil
}

// Begin returns the read of key that can be joined, or a new one. Where the read is mine, the
// caller must perform it and call Finish.
func (c *Cache[K, V]) Begin(key K) (call *Call[V], mine bool) {
	sh := c.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return c.beginLocked(sh, key)
}

// BeginUnlessFresh is Begin, except that a fresh answer is returned as a read that has ended. A
// request that found nothing a moment ago uses it: a read may have ended since.
func (c *Cache[K, V]) BeginUnlessFresh(key K) (call *Call[V], mine bool) {
	sh := c.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := c.clock.Now()
	if value, stamp, ttl, ok := c.storage.Get(key); ok && c.Fresh(stamp, now, ttl) {
		return &Call[V]{stamp: stamp, done: closedChan, value: value}, false
	}
	return c.beginLocked(sh, key)
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// beginLocked is Begin for a caller that holds the lock of the key's shard. The stamp is taken
// here, before the read.
func (c *Cache[K, V]) beginLocked(sh *callShard[K, V], key K) (call *Call[V], mine bool) {
	generation := c.generation.Load()
	if call := sh.calls[key]; call != nil && call.stamp.Generation == generation {
		return call, false
	}
	call = &Call[V]{stamp: Stamp{ReadAt: c.clock.Now(), Generation: generation}, done: make(chan struct{})}
	sh.calls[key] = call
	return call, true
}

// Finish ends a read that Begin gave to its caller: it hands the answer to the requests that wait
// and stores it, unless the key was forgotten meanwhile or another read took the place of this one.
// An error means that there was no answer.
func (c *Cache[K, V]) Finish(key K, call *Call[V], value V, err error) {
	sh := c.shard(key)
	sh.mu.Lock()
	if sh.calls[key] == call {
		delete(sh.calls, key)
		if err == nil {
			c.storage.Put(key, value, call.stamp)
		}
	}
	sh.mu.Unlock()
	call.value, call.err = value, err
	close(call.done)
}

// Forget drops the answer for key, and what a read in flight will say of it (invariant 3). It
// reports what Storage.Delete did.
func (c *Cache[K, V]) Forget(key K) (deleted bool) {
	sh := c.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.calls, key)
	return c.storage.Delete(key)
}

// Gap makes every answer suspect whose read began before (invariant 4).
func (c *Cache[K, V]) Gap() { c.generation.Add(1) }

// Exclusively calls f while nothing is stored and nothing is deleted.
func (c *Cache[K, V]) Exclusively(f func()) {
	for i := range c.shards {
		c.shards[i].mu.Lock()
		defer c.shards[i].mu.Unlock()
	}
	f()
}

func (c *Cache[K, V]) shard(key K) *callShard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, key)%shardCount]
}

// Stamp returns the stamp of the read.
func (c *Call[V]) Stamp() Stamp { return c.stamp }

// Wait returns the answer of the read once there is one. The error is that of ctx where ctx ended
// first.
func (c *Call[V]) Wait(ctx context.Context) (V, error) {
	select {
	case <-c.done:
		return c.value, c.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}
