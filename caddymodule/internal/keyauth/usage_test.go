package keyauth

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAdmittedRequestsAreCounted(t *testing.T) {
	f := newFixture(Options{})
	f.use(t, "k1", 5)
	want(t, "pending", f.usage.Pending(), 5)
	f.hands.pass(5 * time.Second)
	f.use(t, "k1", 1)
	f.ask(testKey("unknown"))
	want(t, "uses", f.uses("k1"), 6)
	want(t, "last use", f.sink.LastUsed("k1"), f.hands.wall.Load()/int64(time.Millisecond))
	want(t, "keys counted", f.sink.Keys(), 1)
	want(t, "pending", f.usage.Pending(), 0)
	want(t, "flushes", f.metrics.flushes[flushOK].Load(), 1)

	f.sink.Fail(errDown, nil)
	f.use(t, "k1", 1)
	f.usage.Flush(t.Context())
	want(t, "failed flushes", f.metrics.flushes[flushFailed].Load(), 1)
	f.sink.Fail(nil, nil)
	f.Stop(t.Context())
	want(t, "count after the stop", f.sink.Count("k1"), 7)
}

// Many requests, flushes that fail before and after they are done, evictions and a stop: every
// request counts once.
func TestUsageIsExactUnderContention(t *testing.T) {
	f := newFixture(Options{CacheSize: 2})
	const keys, each, workers = 4, 3000, 8
	for i := range keys {
		f.redis.set(testKey(fmt.Sprint("k", i)), goodFields(fmt.Sprint("k", i)))
	}
	var done atomic.Bool
	var all, flushing sync.WaitGroup
	flushing.Go(func() {
		for i := 0; !done.Load(); i++ {
			switch i % 4 {
			case 1:
				f.sink.Fail(errDown, nil)
			case 2:
				f.sink.Fail(nil, errDown)
			default:
				f.sink.Fail(nil, nil)
			}
			f.usage.Flush(t.Context())
		}
	})
	for w := range workers {
		all.Go(func() {
			for i := range each {
				id := fmt.Sprint("k", (w+i)%keys)
				want(t, "verdict", f.ask(testKey(id)), "allowed "+id)
			}
		})
	}
	all.Wait()
	done.Store(true)
	flushing.Wait()
	f.sink.Fail(nil, nil)
	f.Stop(t.Context())
	var sum uint64
	for i := range keys {
		id := fmt.Sprint("k", i)
		sum += f.sink.Count(id)
		want(t, "fields left", f.sink.Fields(id), 0)
	}
	want(t, "counted", sum, workers*each)
}
