package cache

// This file is a cache that reads what it does not hold, one key or a batch of keys at a time.

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ReadThrough holds values that are read in batches. It is safe for concurrent use.
type ReadThrough[K comparable, V any] struct {
	cache *Cache[K, V]
	held  *timedMap[K, V]
	read  func(ctx context.Context, keys []K) []Answer[V]
}

// Answer is what a read of one key came to. An error means that there was no answer.
type Answer[V any] struct {
	Value V
	Err   error
}

// NewReadThrough returns an empty cache. The function read returns the answers for keys in their
// order, in bounded time.
func NewReadThrough[K comparable, V any](ttl time.Duration, read func(ctx context.Context, keys []K) []Answer[V]) *ReadThrough[K, V] {
	held := &timedMap[K, V]{ttl: ttl, answers: map[K]stamped[V]{}}
	return &ReadThrough[K, V]{cache: New(NewClock(nil), held), held: held, read: read}
}

// Get returns the value of key: a fresh one, that of a read in flight, or that of a read of its
// own. If there is no answer, a value that is only suspect is used while its age allows. The error
// is that of the read, or of ctx.
func (r *ReadThrough[K, V]) Get(ctx context.Context, key K) (V, error) {
	now := r.cache.Now()
	if value, stamp, ttl, ok := r.held.Get(key); ok && r.cache.Fresh(stamp, now, ttl) {
		return value, nil
	}
	call, mine := r.cache.BeginUnlessFresh(key)
	if mine {
		r.fetch(ctx, []K{key}, []*Call[V]{call})
	}
	value, err := call.Wait(ctx)
	if err == nil || ctx.Err() != nil {
		return value, err
	}
	now = r.cache.Now()
	if value, stamp, ttl, ok := r.held.Get(key); ok && r.cache.StaleIfError(stamp, now, ttl) {
		return value, nil
	}
	return value, err
}

// Prefetch reads, in one batch, the keys of which there is neither a fresh value nor a read in
// flight. It does not wait for the reads of others.
func (r *ReadThrough[K, V]) Prefetch(ctx context.Context, keys []K) {
	var mine []K
	var calls []*Call[V]
	for _, key := range keys {
		if call, ok := r.cache.BeginUnlessFresh(key); ok {
			mine, calls = append(mine, key), append(calls, call)
		}
	}
	if len(mine) > 0 {
		r.fetch(ctx, mine, calls)
	}
}

// errIncomplete ends the calls of a read that panicked or returned too few answers.
var errIncomplete = errors.New("the read returned no answer")

// fetch performs the calls for keys in one read and finishes each of them, whatever happens.
func (r *ReadThrough[K, V]) fetch(ctx context.Context, keys []K, calls []*Call[V]) {
	var answers []Answer[V]
	defer func() {
		for i, key := range keys {
			a := Answer[V]{Err: errIncomplete}
			if i < len(answers) {
				a = answers[i]
			}
			r.cache.Finish(key, calls[i], a.Value, a.Err)
		}
	}()
	answers = r.read(ctx, keys)
}

// Forget drops what is known of key (invariant 3).
func (r *ReadThrough[K, V]) Forget(key K) { r.cache.Forget(key) }

// Gap makes everything suspect that was read before (invariant 4).
func (r *ReadThrough[K, V]) Gap() { r.cache.Gap() }

// Sweep removes the values that are too old to be used. Called now and then, it bounds the memory
// by the keys in use, and lets the clock notice its steps.
func (r *ReadThrough[K, V]) Sweep() { r.held.removeOlder(r.cache.Now()) }

// timedMap is a Storage in which every answer has the same time to live.
type timedMap[K comparable, V any] struct {
	ttl time.Duration

	mu      sync.Mutex
	answers map[K]stamped[V]
}

type stamped[V any] struct {
	value V
	stamp Stamp
}

// Get implements Storage.
func (m *timedMap[K, V]) Get(key K) (value V, stamp Stamp, ttl time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.answers[key]
	return a.value, a.stamp, m.ttl, ok
}

// Put implements Storage.
func (m *timedMap[K, V]) Put(key K, value V, stamp Stamp) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers[key] = stamped[V]{value, stamp}
}

// Delete implements Storage.
func (m *timedMap[K, V]) Delete(key K) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.answers[key]
	delete(m.answers, key)
	return ok
}

// removeOlder removes the answers whose time to live is over.
func (m *timedMap[K, V]) removeOlder(now Instant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, a := range m.answers {
		if now.Since(a.stamp.ReadAt) >= m.ttl {
			delete(m.answers, key)
		}
	}
}
