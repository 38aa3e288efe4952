package keyauth

// This file is a sharded LRU of fixed size, made for reads: a lookup takes a read lock and moves
// nothing. The caller notes with touch, now and then, how recently an entry was used.
//
// Invariant: the sizes of the shards add up to exactly the size of the LRU, and no shard ever
// exceeds its own size.

import (
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	maxShards = 64
	// minShard is how many entries a shard has at least, where there are several: small shards fill
	// unevenly.
	minShard = 1024
)

type shardedLRU[V any] struct {
	shards []shard[V] // their number is a power of two
}

type shard[V any] struct {
	mu            sync.RWMutex
	lru           *simplelru.LRU[digest, V]
	refreshScanAt atomic.Int64   // of the valid cache: when to scan it for due keys (refresh.go)
	_             [128 - 40]byte // keeps the locks of two shards out of one cache line
}

// newShardedLRU returns an empty LRU for size entries, which is at least 1.
func newShardedLRU[V any](size int) *shardedLRU[V] {
	n := 1
	for n < maxShards && size/(2*n) >= minShard {
		n *= 2
	}
	l := &shardedLRU[V]{shards: make([]shard[V], n)}
	for i := range l.shards {
		own := size / n
		if i < size%n {
			own++
		}
		lru, err := simplelru.NewLRU[digest, V](own, nil)
		if err != nil {
			panic(err) // own is positive: a shard holds minShard entries, or is the only one
		}
		l.shards[i].lru = lru
	}
	return l
}

func (l *shardedLRU[V]) shard(d *digest) *shard[V] { return &l.shards[int(d[0])&(len(l.shards)-1)] }

// get returns the entry of d without noting the use.
func (l *shardedLRU[V]) get(d *digest) (V, bool) {
	sh := l.shard(d)
	sh.mu.RLock()
	v, ok := sh.lru.Peek(*d)
	sh.mu.RUnlock()
	return v, ok
}

// touch notes that d was used. Unless must is set, it does not wait for a lock, and returns false
// where it would have to.
func (l *shardedLRU[V]) touch(d *digest, must bool) bool {
	sh := l.shard(d)
	if must {
		sh.mu.Lock()
	} else if !sh.mu.TryLock() {
		return false
	}
	sh.lru.Get(*d)
	sh.mu.Unlock()
	return true
}

// put adds or replaces the entry of d and reports whether another entry was evicted.
func (l *shardedLRU[V]) put(d *digest, v V) (evicted bool) {
	sh := l.shard(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.lru.Add(*d, v)
}

// remove removes the entry of d and returns it.
func (l *shardedLRU[V]) remove(d *digest) (V, bool) {
	sh := l.shard(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	v, ok := sh.lru.Peek(*d)
	sh.lru.Remove(*d)
	return v, ok
}

// len returns the number of entries.
func (l *shardedLRU[V]) len() int {
	n := 0
	for i := range l.shards {
		l.shards[i].mu.RLock()
		n += l.shards[i].lru.Len()
		l.shards[i].mu.RUnlock()
	}
	return n
}

// values returns a copy of the entries of one shard, the least recently used first.
func (sh *shard[V]) values() []V {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.lru.Values()
}

// resized copies the entries into a new LRU of another size. If they do not fit, the most recently
// used of each shard stay.
func (l *shardedLRU[V]) resized(size int) (to *shardedLRU[V], evicted int) {
	to = newShardedLRU[V](size)
	for i := range l.shards {
		sh := &l.shards[i]
		sh.mu.RLock()
		for _, d := range sh.lru.Keys() {
			if v, ok := sh.lru.Peek(d); ok && to.put(&d, v) {
				evicted++
			}
		}
		sh.mu.RUnlock()
	}
	return to, evicted
}
