package keyauth

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestReconfigureKeepsKeysAndCounts(t *testing.T) {
	f := newFixture(Options{CacheSize: 5000})
	for i := range 3000 {
		key := testKey(fmt.Sprint(i))
		f.redis.set(key, goodFields(fmt.Sprint("k", i)))
		f.ask(key)
	}
	reads := f.redis.count()
	for _, size := range []int{100_000, 4000, 4000} {
		f.reconfigure(Options{CacheSize: size})
		want(t, "held", len(f.heldIDs()), 3000)
	}
	want(t, "verdict", f.ask(testKey("7")), "allowed k7")
	want(t, "reads", f.redis.count()-reads, 0)
	want(t, "uses", f.uses("k7"), 2)

	f.reconfigure(Options{CacheSize: 10})
	want(t, "held in a smaller space", len(f.heldIDs()), 10)
	f.reconfigure(Options{CacheSize: 10, CacheTTL: time.Hour})
	want(t, "longest life", f.settings.Load().ttl, 60*time.Second)
}

// Reloads that change the size run concurrently with requests, pushes and reads in flight.
func TestReconfigureUnderLoad(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					want(t, "verdict", f.ask(key), "allowed k1")
				}
			}
		})
	}
	for i := range 200 {
		f.reconfigure(Options{CacheSize: 10 + i*100})
		f.changed(key)
	}
	close(stop)
	all.Wait()
}

func TestRunEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
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
