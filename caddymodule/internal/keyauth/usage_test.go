package keyauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// use lets in n requests with a key whose id is given.
func (f *fixture) use(t *testing.T, id string, n int) {
	t.Helper()
	key := testKey(id)
	f.redis.set(key, goodFields(id))
	for range n {
		want(t, "verdict", f.ask(key), "allowed "+id)
	}
}

func (f *fixture) flushNow() { f.usage.flush(context.Background()) }

func TestUsageReachesRedis(t *testing.T) {
	f := newFixture(Options{})
	f.use(t, "k1", 5)
	want(t, "pending", f.usage.pending(), 5)
	f.flushNow()
	f.use(t, "k1", 2)
	f.hands.pass(5 * time.Second)
	f.use(t, "k1", 1)
	f.ask(testKey("unknown"))
	f.flushNow()
	f.flushNow()
	want(t, "count", f.counts.total("k1"), 8)
	want(t, "last use", f.counts.last["k1"], f.hands.wall.Load()/int64(time.Millisecond))
	want(t, "pending", f.usage.pending(), 0)
	want(t, "flushes", f.metrics.flushes[flushOK].Load(), 2)
	want(t, "keys counted", len(f.counts.count), 1)
}

func TestUsageIsFlushedEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := onTime(t, Options{})
		f.use(t, "k1", 3)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		want(t, "count", f.counts.total("k1"), 3)
	})
}

func TestUsageSurvivesOutageAndLostAnswers(t *testing.T) {
	f := newFixture(Options{})
	f.use(t, "k1", 5)
	f.counts.after = errDown // done, but nobody heard of it
	f.flushNow()
	f.flushNow()
	want(t, "pending", f.usage.pending(), 5)
	f.counts.after, f.counts.before = nil, errDown
	f.use(t, "k1", 5)
	f.flushNow()
	want(t, "failed flushes", f.metrics.flushes[flushFailed].Load(), 3)
	f.counts.before = nil
	f.flushNow()
	want(t, "count", f.counts.total("k1"), 10)
	want(t, "pending", f.usage.pending(), 0)
}

// Redis comes back a second older: everything that was acknowledged since is sent again, of keys not used since too.
func TestUsageIsSentAgainAfterRollback(t *testing.T) {
	for _, sign := range []string{"new connection", "failed flush"} {
		t.Run(sign, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(Options{})
				f.use(t, "k1", 5)
				f.use(t, "k2", 7)
				f.flushNow()
				f.counts.count["k1"], f.counts.fields["k1"][f.usage.counter("k1").field] = 2, 2
				f.counts.count["k2"], f.counts.fields["k2"] = 0, nil
				switch sign {
				case "new connection":
					f.usage.suspect()
				case "failed flush":
					f.counts.before = errDown
					f.use(t, "k1", 1)
					f.flushNow()
					f.counts.before = nil
				}
				for range 7 { // resends have a distance
					time.Sleep(time.Second)
					f.flushNow()
				}
				want(t, "count of k1", f.counts.total("k1"), f.usage.counter("k1").total())
				want(t, "count of k2", f.counts.total("k2"), 7)
			})
		})
	}
}

func TestUsageStop(t *testing.T) {
	f := newFixture(Options{})
	f.use(t, "k1", 5)
	f.flushNow()
	f.use(t, "k2", 3)
	f.counts.fields["k1"] = nil // Redis lost it, and nobody noticed
	f.counts.count["k1"] = 0
	f.Stop(t.Context())
	want(t, "count of k1", f.counts.total("k1"), 5)
	want(t, "count of k2", f.counts.total("k2"), 3)
	want(t, "own fields left", len(f.counts.fields["k1"])+len(f.counts.fields["k2"]), 0)

	// A request that was still under way counts, on a field of its own, and whoever stops again brings it home.
	f.use(t, "k1", 1)
	f.Stop(t.Context())
	want(t, "count of k1", f.counts.total("k1"), 6)
	want(t, "own fields left", len(f.counts.fields["k1"]), 0)
}

// A use that comes while its counter is being retired counts on the successor, and on that alone.
func TestUsageTooLateForACounterIsCountedOnce(t *testing.T) {
	f := newFixture(Options{})
	f.use(t, "k1", 3)
	c := f.usage.counter("k1")
	if !f.usage.retire(c, 3) {
		t.Fatal("not retired")
	}
	f.use(t, "k1", 1) // the held record still points to the retired counter
	want(t, "the retired counter", c.total(), 3)
	want(t, "its successor", f.usage.counter("k1").total(), 1)
	want(t, "retired again", f.usage.retire(c, 3), false)
}

func TestUsageStopTriesUntilItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := newFixture(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		f.use(t, "k1", 5)
		f.counts.before = errDown
		time.AfterFunc(3*time.Second, func() {
			f.counts.mu.Lock()
			defer f.counts.mu.Unlock()
			f.counts.before = nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		f.Stop(ctx)
		want(t, "count", f.counts.total("k1"), 5)
		want(t, "said that counts were lost", strings.Contains(log.String(), "lost="), false)
	})
}

func TestUsageStopSaysWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := newFixture(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		f.use(t, "k1", 5)
		f.flushNow()
		f.use(t, "k1", 4)
		f.use(t, "k2", 3)
		f.counts.before = errDown
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		f.Stop(ctx)
		if !strings.Contains(log.String(), "lost=7 keys=2") {
			t.Errorf("the log says %s", log.String())
		}
	})
}

// A lost answer at any step of the stop counts nothing twice.
func TestUsageStopWithLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		f.use(t, "k1", 5)
		f.counts.after = errDown
		time.AfterFunc(350*time.Millisecond, func() {
			f.counts.mu.Lock()
			defer f.counts.mu.Unlock()
			f.counts.after = nil
		})
		f.Stop(t.Context())
		want(t, "count", f.counts.total("k1"), 5)
		want(t, "own fields left", len(f.counts.fields["k1"]), 0)
	})
}

func TestUsageWaitsForAFullRedis(t *testing.T) {
	var log bytes.Buffer
	f := newFixture(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	f.use(t, "k1", 5)
	f.counts.frees = true
	for range 5 {
		f.flushNow()
	}
	want(t, "pending", f.usage.pending(), 5)
	want(t, "lines", strings.Count(log.String(), "redis is full"), 1)
	f.counts.frees = false
	f.flushNow()
	want(t, "count", f.counts.total("k1"), 5)
	want(t, "lines of relief", strings.Count(log.String(), "reach redis again"), 1)
	f.use(t, "k1", 1)
	f.counts.frees = true
	f.Stop(t.Context()) // nothing can wait any more
	want(t, "count", f.counts.total("k1"), 6)
}

// One damaged usage hash keeps nobody else's counts.
func TestUsageErrorOfOneKey(t *testing.T) {
	f := newFixture(Options{})
	broken := &oneBroken{fakeCounts: f.counts}
	f.usage.counts = broken
	for i := range 2 * flushBatch {
		f.use(t, fmt.Sprint("k", i), 1)
	}
	f.flushNow()
	want(t, "pending", f.usage.pending(), 1)
	want(t, "suspicion that Redis lost something", f.usage.resend.Load(), false)
}

type oneBroken struct{ *fakeCounts }

func (b *oneBroken) send(ctx context.Context, totals []total, free bool) []error {
	errs := b.fakeCounts.send(ctx, totals, free)
	for i, t := range totals {
		if t.id == "k77" {
			errs[i] = reply("WRONGTYPE Operation against a key holding the wrong kind of value")
		}
	}
	return errs
}

// Counters of keys that are not used any more leave the memory, with their fields, and what comes later counts on.
func TestUsageOfIdleKeysIsFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		f.use(t, "k1", 5)
		old := f.usage.counter("k1")
		f.flushNow()
		f.counts.after = errDown
		time.Sleep(idleAfter + time.Second)
		f.flushNow() // removes the field, but does not hear of it
		f.counts.after = nil
		f.use(t, "k1", 2) // from the cache, by way of the old counter
		f.flushNow()
		f.flushNow()
		want(t, "count", f.counts.total("k1"), 7)
		want(t, "came to the old one", old.state.Load()&^retired-5, 2) // seen to be retired by each
		want(t, "fields", len(f.counts.fields["k1"]), 1)
		time.Sleep(idleAfter + time.Second)
		f.flushNow()
		want(t, "fields", len(f.counts.fields["k1"]), 0)
		want(t, "counters", len(f.usage.all()), 0)
	})
}

// A process is cut off for so long that others have folded its field away. It does not count again what it had counted.
func TestUsageAfterDaysWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		f.use(t, "k1", 5)
		f.flushNow()
		f.counts.before = errDown
		f.use(t, "k1", 3)
		for range 8 {
			time.Sleep(24 * time.Hour)
			f.flushNow()
		}
		f.counts.fields["k1"] = nil
		f.counts.before = nil
		f.flushNow()
		f.flushNow()
		want(t, "count", f.counts.total("k1"), 8)
		want(t, "pending", f.usage.pending(), 0)
	})
}

// Many requests, flushes that fail before and after they are done, evictions, idle counters and a stop: every request counts once.
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
			f.counts.mu.Lock()
			f.counts.before, f.counts.after = nil, nil
			switch i % 4 {
			case 1:
				f.counts.before = errDown
			case 2:
				f.counts.after = errDown
			}
			f.counts.mu.Unlock()
			f.flushNow()
			if i%8 == 7 { // as if it had been idle for long
				f.usage.flushing.Lock()
				for _, c := range f.usage.all() {
					if n := c.total(); n == c.acked.Load() && f.usage.retire(c, n) {
						f.usage.folding = append(f.usage.folding, c)
					}
				}
				f.usage.flushing.Unlock()
			}
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
	f.counts.before, f.counts.after = nil, nil
	f.Stop(t.Context())
	var sum uint64
	for i := range keys {
		id := fmt.Sprint("k", i)
		sum += f.counts.total(id)
		want(t, "fields left", len(f.counts.fields[id]), 0)
	}
	want(t, "counted", sum, workers*each)
}

func TestUnanswered(t *testing.T) {
	for err, is := range map[error]bool{
		nil: false, errDown: true, context.DeadlineExceeded: true, errOOM: false,
		errors.Join(errors.New("reading"), reply("LOADING")): false,
	} {
		want(t, fmt.Sprint(err), unanswered(err), is)
	}
}
