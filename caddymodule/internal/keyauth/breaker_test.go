package keyauth

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

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
		time.Sleep(probeInterval + probeTimeout)
		synctest.Wait()
		want(t, "after the outage", f.ask(key), "allowed k1")
	})
}

// While Redis hangs, the first request waits for less than a second, and later requests do not
// wait.
func TestOpenBreakerSparesRequestsTheWait(t *testing.T) {
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

// A connection that broke while it was idle does not fail a request.
func TestBrokenConnectionIsRetried(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	f.redis.fail(errDown)
	f.redis.gate = func(context.Context, []string) { f.redis.fail(nil) }
	want(t, "verdict", f.ask(key), "allowed k1")
	want(t, "breaker open", len(f.breakers.failed(f.clock.Now())), 0)
}

// The breaker closes by itself if nobody runs the probe.
func TestBreakerClosesByItself(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	f.redis.fail(errDown)
	want(t, "down", f.ask(key), codeUnavailable)
	f.redis.fail(nil)
	want(t, "still open", f.ask(key), codeUnavailable)
	f.hands.pass(breakerTimeout)
	want(t, "closed", f.ask(key), "allowed k1")
}

// In a Cluster, the breaker of an unreachable shard does not affect the other shards.
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
