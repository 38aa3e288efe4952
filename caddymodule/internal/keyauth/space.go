package keyauth

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// This file is a sharded LRU of fixed size, made for reads: a look takes a read lock and moves nothing. How recently an entry was used is
// noted by touch, which the caller does now and then.
//
// Invariant: the sizes of the shards add up to exactly the size of the space, and no shard ever exceeds its own.

// digest is the SHA-256 of a key. Keys are known by nothing else.
type digest [sha256.Size]byte

// minShard is below how many entries a shard is not worth having: small shards fill unevenly.
const minShard = 1024

const maxShards = 64

type space[V any] struct {
	shards []shard[V] // their number is a power of two
}

type shard[V any] struct {
	mu  sync.RWMutex
	lru *simplelru.LRU[digest, V]
	due atomic.Int64   // of held keys: before this, on the age clock, none must be read again (refresh.go)
	_   [128 - 40]byte // keeps the locks of two shards out of one cache line
}

// newSpace returns an empty space for size entries, which is at least 1.
func newSpace[V any](size int) *space[V] {
	n := 1
	for n < maxShards && size/(2*n) >= minShard {
		n *= 2
	}
	s := &space[V]{shards: make([]shard[V], n)}
	for i := range s.shards {
		own := size / n
		if i < size%n {
			own++
		}
		lru, err := simplelru.NewLRU[digest, V](own, nil)
		if err != nil {
			panic(err) // own is positive: a shard holds minShard entries, or is the only one
		}
		s.shards[i].lru = lru
	}
	return s
}

func (s *space[V]) of(d *digest) *shard[V] { return &s.shards[int(d[0])&(len(s.shards)-1)] }

// get looks without noting the use.
func (s *space[V]) get(d *digest) (V, bool) {
	sh := s.of(d)
	sh.mu.RLock()
	v, ok := sh.lru.Peek(*d)
	sh.mu.RUnlock()
	return v, ok
}

// touch notes that d was used. Unless it must, it does not wait for others and reports false where it would have to.
func (s *space[V]) touch(d *digest, must bool) bool {
	sh := s.of(d)
	if must {
		sh.mu.Lock()
	} else if !sh.mu.TryLock() {
		return false
	}
	sh.lru.Get(*d)
	sh.mu.Unlock()
	return true
}

// put adds or replaces d and reports whether another had to leave for it.
func (s *space[V]) put(d *digest, v V) (evicted bool) {
	sh := s.of(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.lru.Add(*d, v)
}

// remove forgets d and returns what was there.
func (s *space[V]) remove(d *digest) (V, bool) {
	sh := s.of(d)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	v, ok := sh.lru.Peek(*d)
	sh.lru.Remove(*d)
	return v, ok
}

// len is how many entries there are.
func (s *space[V]) len() int {
	n := 0
	for i := range s.shards {
		s.shards[i].mu.RLock()
		n += s.shards[i].lru.Len()
		s.shards[i].mu.RUnlock()
	}
	return n
}

// values copies out the entries of one shard, the least recently used first.
func (sh *shard[V]) values() []V {
	sh.mu.RLock()
	defer sh.mu.RUnlock()
	return sh.lru.Values()
}

// resized copies the entries into a new space of another size; where they do not fit, the most recently used of each shard stay.
func (s *space[V]) resized(size int) (to *space[V], evicted int) {
	to = newSpace[V](size)
	for i := range s.shards {
		sh := &s.shards[i]
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
