package keyauth

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// onTime is a fixture on the (fake) real clock, with Run running, for synctest.
func onTime(t *testing.T, o Options) *fixture {
	t.Helper()
	f := &fixture{redis: newFakeRedis(), counts: newFakeCounts()}
	o.Logger = quiet
	f.Auth = newAuth(f.redis, f.counts, names, o, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return f
}

// hang makes Redis give no answer.
func (f *fakeRedis) hang(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gate, f.err = nil, nil
	if yes {
		f.err = context.DeadlineExceeded
		f.gate = func(ctx context.Context, _ []string) { <-ctx.Done() }
	}
}

func TestKeyInUseNeverWaitsForRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onTime(t, Options{})
		used, idle := testKey("used"), testKey("idle")
		f.redis.set(used, goodFields("k1"))
		f.redis.set(idle, goodFields("k2"))
		f.ask(used)
		f.ask(idle)
		for range 600 {
			time.Sleep(time.Second)
			want(t, "verdict", f.ask(used), "allowed k1")
		}
		want(t, "requests that waited for Redis", f.metrics.lookups[sourceRedis].Load(), 2)
		// Once each at first, and the used one again a little before every half minute is over.
		if n := f.redis.count(); n < 2+20 || n > 2+21 {
			t.Errorf("%d keys were read", n)
		}
	})
}

// A key that is used for the first time since its read when it is past half its life is read again at once.
func TestLateUseIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onTime(t, Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		f.ask(key)
		time.Sleep(40 * time.Second)
		want(t, "reads of an idle key", f.redis.count(), 1)
		f.ask(key)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		want(t, "reads after its use", f.redis.count(), 2)
		time.Sleep(time.Minute)
		want(t, "reads while idle again", f.redis.count(), 2)
	})
}

// Redis is away at the very moment when a key is due, or answers with errors. It is read again once Redis answers, and waits for nothing.
func TestRefreshIsMadeUpFor(t *testing.T) {
	for _, how := range []string{"hangs", "refuses", "loads"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := onTime(t, Options{})
				const keys = 2*refreshBatch + 10 // more than one pipeline, of which the first one fails
				for i := range keys {
					f.use(t, fmt.Sprint("k", i), 2)
				}
				time.Sleep(25 * time.Second)
				switch how {
				case "hangs":
					f.redis.hang(true)
				case "refuses":
					f.redis.fail(errDown)
				case "loads":
					f.redis.fail(reply("LOADING Redis is loading the dataset in memory"))
				}
				time.Sleep(10 * time.Second)
				f.redis.hang(false)
				time.Sleep(3 * time.Second)
				synctest.Wait()
				time.Sleep(45 * time.Second) // so long the record that was read then is good, and no other
				for i := range keys {
					f.use(t, fmt.Sprint("k", i), 1)
				}
				want(t, "requests that waited for Redis", f.metrics.lookups[sourceRedis].Load(), keys)
			})
		})
	}
}

// After a gap the keys in use are read again without waiting for a request.
func TestRefreshAfterGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onTime(t, Options{})
		used, idle := testKey("used"), testKey("idle")
		f.redis.set(used, goodFields("k1"))
		f.redis.set(idle, goodFields("k2"))
		f.ask(used)
		f.ask(used)
		f.ask(idle)
		time.Sleep(3 * time.Second) // looked at, and put off
		f.Gap()
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		want(t, "reads", f.redis.count(), 3)
		f.ask(used)
		want(t, "requests that waited for Redis", f.metrics.lookups[sourceRedis].Load(), 2)
	})
}

// A shorter time to live makes keys due at once.
func TestRefreshAfterReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onTime(t, Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		f.ask(key)
		f.ask(key)
		time.Sleep(7 * time.Second)
		f.Reconfigure(Options{CacheTTL: 10 * time.Second})
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		want(t, "reads", f.redis.count(), 2)
	})
}

func TestRefreshIsPipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onTime(t, Options{})
		for i := range 1000 {
			key := testKey(fmt.Sprint(i))
			f.redis.set(key, goodFields(fmt.Sprint("k", i)))
			f.ask(key)
			f.ask(key)
		}
		f.redis.mu.Lock()
		f.redis.calls = nil
		f.redis.mu.Unlock()
		time.Sleep(32 * time.Second)
		synctest.Wait()
		f.redis.mu.Lock()
		defer f.redis.mu.Unlock()
		slices.Sort(f.redis.calls)
		want(t, "pipelines", fmt.Sprint(f.redis.calls), "[232 256 256 256]")
	})
}

// A refresh finds that a key was revoked, and that the announcement was lost.
func TestRefreshFindsRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onTime(t, Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		f.ask(key)
		f.ask(key)
		f.redis.set(key, revoked("k1"))
		time.Sleep(32 * time.Second)
		synctest.Wait()
		want(t, "verdict", f.ask(key), codeRevoked)
		want(t, "requests that waited for Redis", f.metrics.lookups[sourceRedis].Load(), 1)
	})
}

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onTime(t, Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		f.ask(key)
		for range 45 { // in use, so it is read again at 30 s
			f.ask(key)
			time.Sleep(time.Second)
		}
		f.redis.hang(true)
		start := time.Now()
		for f.ask(key) == "allowed k1" {
			time.Sleep(time.Second)
		}
		if lasted := time.Since(start); lasted < 30*time.Second || lasted > 60*time.Second {
			t.Errorf("the key lasted %s into the outage", lasted)
		}
		want(t, "verdict", f.ask(key), codeUnavailable)
		f.redis.hang(false)
		time.Sleep(probeEvery + probeTimeout)
		synctest.Wait()
		want(t, "after the outage", f.ask(key), "allowed k1")
	})
}

// Redis hangs. The first request waits, and less than a second; those after it wait for nothing.
func TestOneFailedReadSparesTheOthersTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onTime(t, Options{})
		f.redis.hang(true)
		took := func(key string) time.Duration {
			start := time.Now()
			want(t, "verdict", f.ask(key), codeUnavailable)
			return time.Since(start)
		}
		if d := took(testKey("first")); d == 0 || d > time.Second {
			t.Errorf("the first took %s", d)
		}
		for i := range 50 {
			want(t, "wait of a later one", took(testKey(fmt.Sprint(i))), 0)
			time.Sleep(200 * time.Millisecond)
		}
	})
}

// Whatever a request waits for, all of it together takes less than a second, and more reads than allowed are never in flight.
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
		want(t, "found a place in time", unknown.Load(), 2*maxReads)
		want(t, "places taken", len(f.places), 0)
		for i := range f.desks {
			want(t, "reads left open", len(f.desks[i].flights), 0)
		}
	})
}

// A connection that broke while idle costs no request its verdict.
func TestBrokenConnectionIsTriedAgain(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	f.redis.fail(errDown)
	f.redis.gate = func(context.Context, []string) { f.redis.fail(nil) }
	want(t, "verdict", f.ask(key), "allowed k1")
	want(t, "breaker open", len(f.breakers.opened(f.clock.now())), 0)
}

// The breaker closes by itself where nobody runs the probe.
func TestBreakerClosesByItself(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	f.redis.fail(errDown)
	want(t, "down", f.ask(key), codeUnavailable)
	f.redis.fail(nil)
	want(t, "still open", f.ask(key), codeUnavailable)
	f.hands.pass(breakerTime)
	want(t, "closed", f.ask(key), "allowed k1")
}

// In a Cluster a shard that is away takes nothing from the others.
func TestBreakersOfACluster(t *testing.T) {
	want(t, "slot of 123456789", hashSlot("123456789"), 0x31c3%hashSlots)
	f := newFixture(Options{})
	f.breakers.cluster = true
	here, there := testKey("here"), testKey("there")
	if f.breakers.of(nameOf(here)) == f.breakers.of(nameOf(there)) {
		t.Fatal("choose other keys")
	}
	f.redis.set(there, goodFields("k1"))
	f.redis.fail(errDown)
	want(t, "on the shard that is away", f.ask(here), codeUnavailable)
	f.redis.fail(nil)
	want(t, "there, meanwhile", f.ask(here), codeUnavailable)
	want(t, "on another shard", f.ask(there), "allowed k1")
}

func TestRunEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails where a goroutine is left
		f := newFixture(Options{})
		f.redis.hang(true)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			f.Run(ctx)
			close(done)
		}()
		f.ask(testKey("a")) // the breaker opens, and Redis is probed
		cancel()
		<-done
	})
}
