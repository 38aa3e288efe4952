package keyauth

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSizeIsExactAndUnknownKeysEvictNoValidKey(t *testing.T) {
	for _, size := range []int{1, 7, 1000, 5000, 100_000} {
		sum := 0
		s := newShardedLRU[int](size)
		for i := range s.shards {
			for j := range 300_000 / len(s.shards) {
				s.shards[i].lru.Add(digest{byte(i), 1, byte(j), byte(j >> 8), byte(j >> 16)}, j)
			}
			sum += s.shards[i].lru.Len()
		}
		want(t, fmt.Sprint("entries of a full LRU of ", size), sum, size)
		want(t, "len", s.len(), size)
	}

	f := newFixture(Options{CacheSize: 50, UnknownKeyBurst: 1 << 30})
	var keys []string
	for i := range 50 {
		keys = append(keys, testKey(fmt.Sprint("good", i)))
		f.redis.set(keys[i], goodFields(fmt.Sprint("k", i)))
		f.ask(keys[i])
	}
	for i := range negativeSize + 5000 { // a flood of unknown keys
		f.ask(testKey(fmt.Sprint("bad", i)))
	}
	want(t, "good keys held", len(f.heldIDs()), 50)
	if n := f.negative.len(); n > negativeSize {
		t.Errorf("%d refused keys are held", n)
	}
	reads := f.redis.count()
	for i, key := range keys {
		want(t, "verdict", f.ask(key), fmt.Sprint("allowed k", i))
	}
	want(t, "reads for them", f.redis.count()-reads, 0)

	for i := range 500 { // and more good keys than there is room for
		key := testKey(fmt.Sprint("more", i))
		f.redis.set(key, goodFields(fmt.Sprint("m", i)))
		f.ask(key)
	}
	want(t, "good keys held", len(f.heldIDs()), 50)
	want(t, "evictions", f.metrics.evictions.Load(), 500)
}

func TestLeastRecentlyUsedLeavesFirst(t *testing.T) {
	f := newFixture(Options{CacheSize: 2})
	a, b, c := testKey("a"), testKey("b"), testKey("c")
	for _, key := range []string{a, b, c} {
		f.redis.set(key, goodFields("of-"+key[9:11]))
	}
	f.ask(a)
	f.ask(b)
	f.hands.pass(2 * time.Second)
	f.ask(a) // used after b
	f.ask(c)
	if diff := cmp.Diff([]string{"of-" + a[9:11], "of-" + c[9:11]}, f.heldIDs()); diff != "" {
		t.Error(diff)
	}
}
