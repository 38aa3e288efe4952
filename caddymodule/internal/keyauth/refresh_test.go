package keyauth

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

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
		// Each key was read once at first, and the used one again shortly before each half minute.
		if n := f.redis.count(); n < 2+20 || n > 2+21 {
			t.Errorf("%d keys were read", n)
		}
	})
}

// A key that was idle until it is past half its TTL is read again at once when it is used.
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

// Redis is unreachable when keys are due, or answers with errors. The keys are read again once
// Redis answers, and no request waits.
func TestRefreshIsRetried(t *testing.T) {
	for _, how := range []string{"hangs", "refuses", "loads"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := onTime(t, Options{})
				const keys = 2*refreshBatchSize + 10 // more than one pipeline
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
				time.Sleep(45 * time.Second) // longer than the records lived that were read before
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
		time.Sleep(3 * time.Second) // scanned, and not due yet
		f.Gap()
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		want(t, "reads", f.redis.count(), 3)
		f.ask(used)
		want(t, "requests that waited for Redis", f.metrics.lookups[sourceRedis].Load(), 2)
	})
}

// A shorter TTL makes keys due at once.
func TestRefreshAfterReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onTime(t, Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		f.ask(key)
		f.ask(key)
		time.Sleep(7 * time.Second)
		f.reconfigure(Options{CacheTTL: 10 * time.Second})
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

// A refresh finds a revocation whose announcement was lost.
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
