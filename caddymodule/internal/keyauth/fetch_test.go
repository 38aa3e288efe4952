package keyauth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTwoHundredFirstUsesCostOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		release := make(chan struct{})
		f.redis.gate = func(context.Context, []string) { <-release }
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { want(t, "verdict", f.ask(key), "allowed k1") })
		}
		synctest.Wait() // all of them wait for the one read
		close(release)
		all.Wait()
		want(t, "reads", f.redis.count(), 1)
		want(t, "uses", f.uses("k1"), 200)
		want(t, "from redis", f.metrics.lookups[sourceRedis].Load(), 1)
		want(t, "shared", f.metrics.lookups[sourceShared].Load(), 199)
	})
}

// A request that found nothing, and was overtaken by a whole read before it could start one of its
// own, takes that read's answer.
func TestReadThatEndedMeanwhileWillDo(t *testing.T) {
	f := newFixture(Options{})
	good, bad := testKey("a"), testKey("b")
	f.redis.set(good, goodFields("k1"))
	for key, verdict := range map[string]string{good: "allowed k1", bad: codeUnknown} {
		want(t, "the other's verdict", f.ask(key), verdict)
		d := digest(sha256.Sum256([]byte(key)))
		call, mine := f.cache.BeginUnlessFresh(d)
		if mine {
			t.Fatalf("%s: another read was begun", verdict)
		}
		v := f.wait(t.Context(), &d, call)
		want(t, "let in", v.Key != nil, key == good)
		want(t, "refused as unknown", v.Refusal == refuseUnknown, key == bad)
	}
	f.Gap()
	d := digest(sha256.Sum256([]byte(good)))
	if _, mine := f.cache.BeginUnlessFresh(d); !mine {
		t.Error("an answer from before the gap was used")
	}
}

// The client whose request began the read hangs up. The other requests still get the answer.
func TestReadOutlivesItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		f.redis.gate = func(ctx context.Context, _ []string) {
			select {
			case <-ctx.Done():
				t.Error("the read was given up")
			case <-time.After(100 * time.Millisecond):
			}
		}
		ctx, hangUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { f.Authenticate(ctx, []string{key}, "") })
		synctest.Wait()
		all.Go(func() { want(t, "verdict", f.ask(key), "allowed k1") })
		hangUp()
		all.Wait()
	})
}

// All waits of a request together take less than a second, and never more reads than allowed are in
// flight.
func TestReadsInFlightAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onTime(t, Options{UnknownKeyBurst: 1 << 20})
		var reading, most atomic.Int64
		f.redis.gate = func(ctx context.Context, _ []string) {
			n := reading.Add(1)
			defer reading.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			select {
			case <-ctx.Done():
			case <-time.After(350 * time.Millisecond): // slow, but an answer
			}
		}
		var all sync.WaitGroup
		var unknown, unavailable atomic.Int64
		for i := range 2000 {
			all.Go(func() {
				start := time.Now()
				switch f.ask(testKey(fmt.Sprint(i))) {
				case codeUnknown:
					unknown.Add(1)
				case codeUnavailable:
					unavailable.Add(1)
				}
				if d := time.Since(start); d >= time.Second {
					t.Errorf("a request took %s", d)
				}
			})
		}
		all.Wait()
		want(t, "most reads at once", most.Load(), maxReads)
		want(t, "answered", unknown.Load()+unavailable.Load(), 2000)
		want(t, "found a read slot in time", unknown.Load(), 2*maxReads)
		want(t, "read slots taken", len(f.readSlots), 0)
		for i := range 2000 {
			d := digest(sha256.Sum256([]byte(testKey(fmt.Sprint(i)))))
			want(t, "a read was left open", f.cache.Joinable(d) != nil, false)
		}
	})
}
