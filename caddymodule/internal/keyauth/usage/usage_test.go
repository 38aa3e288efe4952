package usage_test

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

	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth/usage"
	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth/usage/usagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("connection refused")

// want fails where got is something else.
func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// fixture is the counters of a process over a Sink in memory. Like the key cache, it holds on to
// the counter of each key.
type fixture struct {
	*usage.Counters
	sink   *usagetest.Sink
	log    *bytes.Buffer
	held   map[string]*usage.Counter
	now    time.Time // of each use
	ok     int       // flushes
	failed int
}

func newFixture() *fixture {
	f := &fixture{
		sink: usagetest.NewSink(), log: &bytes.Buffer{}, held: map[string]*usage.Counter{},
		now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC),
	}
	f.Counters = usage.NewOver(f.sink, slog.New(slog.NewTextHandler(f.log, nil)), func(ok bool) {
		if ok {
			f.ok++
		} else {
			f.failed++
		}
	})
	return f
}

// use counts n uses of a key.
func (f *fixture) use(id string, n int) {
	c := f.held[id]
	if c == nil {
		c = f.Counter(id)
		f.held[id] = c
	}
	for range n {
		f.Add(c, f.now.UnixNano())
	}
}

func (f *fixture) flush() { f.Flush(context.Background()) }

func TestUsesReachRedis(t *testing.T) {
	f := newFixture()
	f.use("k1", 5)
	want(t, "pending", f.Pending(), 5)
	f.flush()
	f.use("k1", 2)
	f.now = f.now.Add(5 * time.Second)
	f.use("k1", 1)
	f.flush()
	f.flush()
	want(t, "count", f.sink.Count("k1"), 8)
	want(t, "last use", f.sink.LastUsed("k1"), f.now.UnixMilli())
	want(t, "pending", f.Pending(), 0)
	want(t, "flushes", f.ok, 2)
	want(t, "keys counted", f.sink.Keys(), 1)
}

func TestFlushEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { f.Run(ctx) })
		f.use("k1", 3)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		want(t, "count", f.sink.Count("k1"), 3)
		cancel()
		running.Wait()
	})
}

func TestOutageAndLostAnswers(t *testing.T) {
	f := newFixture()
	f.use("k1", 5)
	f.sink.Fail(nil, errDown)
	f.flush()
	f.flush()
	want(t, "pending", f.Pending(), 5)
	f.sink.Fail(errDown, nil)
	f.use("k1", 5)
	f.flush()
	want(t, "failed flushes", f.failed, 3)
	f.sink.Fail(nil, nil)
	f.flush()
	want(t, "count", f.sink.Count("k1"), 10)
	want(t, "pending", f.Pending(), 0)
}

// Redis comes back a second older: everything that it confirmed since is sent again, also for keys
// that were not used since.
func TestResendAfterRollback(t *testing.T) {
	for _, sign := range []string{"new connection", "failed flush"} {
		t.Run(sign, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture()
				f.use("k1", 5)
				f.use("k2", 7)
				f.flush()
				f.sink.Rewind("k1", 2)
				f.sink.Rewind("k2", 0)
				uses := uint64(5)
				switch sign {
				case "new connection":
					f.ResendAll()
				case "failed flush":
					f.sink.Fail(errDown, nil)
					f.use("k1", 1)
					uses++
					f.flush()
					f.sink.Fail(nil, nil)
				}
				for range 7 { // resends have a least interval
					time.Sleep(time.Second)
					f.flush()
				}
				want(t, "count of k1", f.sink.Count("k1"), uses)
				want(t, "count of k2", f.sink.Count("k2"), 7)
			})
		})
	}
}

func TestStop(t *testing.T) {
	f := newFixture()
	f.use("k1", 5)
	f.flush()
	f.use("k2", 3)
	f.sink.Rewind("k1", 0) // Redis lost it, and nobody noticed
	f.Stop(t.Context())
	want(t, "count of k1", f.sink.Count("k1"), 5)
	want(t, "count of k2", f.sink.Count("k2"), 3)
	want(t, "own fields left", f.sink.Fields("k1")+f.sink.Fields("k2"), 0)

	// A request that was still in progress counts, in a field of its own, and another Stop writes
	// it.
	f.use("k1", 1)
	f.Stop(t.Context())
	want(t, "count of k1", f.sink.Count("k1"), 6)
	want(t, "own fields left", f.sink.Fields("k1"), 0)
}

func TestStopRetriesUntilItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.use("k1", 5)
		f.sink.Fail(errDown, nil)
		time.AfterFunc(3*time.Second, func() { f.sink.Fail(nil, nil) })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		f.Stop(ctx)
		want(t, "count", f.sink.Count("k1"), 5)
		want(t, "the log says that counts were lost", strings.Contains(f.log.String(), "lost="), false)
	})
}

func TestStopLogsLostCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.use("k1", 5)
		f.flush()
		f.use("k1", 4)
		f.use("k2", 3)
		f.sink.Fail(errDown, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		f.Stop(ctx)
		if !strings.Contains(f.log.String(), "lost=7 keys=2") {
			t.Errorf("the log says %s", f.log)
		}
	})
}

// A lost answer at any step of the stop counts nothing twice.
func TestStopWithLostAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.use("k1", 5)
		f.sink.Fail(nil, errDown)
		time.AfterFunc(350*time.Millisecond, func() { f.sink.Fail(nil, nil) })
		f.Stop(t.Context())
		want(t, "count", f.sink.Count("k1"), 5)
		want(t, "own fields left", f.sink.Fields("k1"), 0)
	})
}

func TestFullRedis(t *testing.T) {
	f := newFixture()
	f.use("k1", 5)
	f.sink.SetFull(true)
	for range 5 {
		f.flush()
	}
	want(t, "pending", f.Pending(), 5)
	want(t, "lines", strings.Count(f.log.String(), "redis is full"), 1)
	f.sink.SetFull(false)
	f.flush()
	want(t, "count", f.sink.Count("k1"), 5)
	want(t, "lines about the recovery", strings.Count(f.log.String(), "written to redis again"), 1)
	f.use("k1", 1)
	f.sink.SetFull(true)
	f.Stop(t.Context()) // nothing can wait any longer
	want(t, "count", f.sink.Count("k1"), 6)
}

// Counters of idle keys leave the memory and their fields leave Redis; later uses are added to the
// count.
func TestIdleKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.use("k1", 5)
		f.flush()
		f.sink.Fail(nil, errDown)
		time.Sleep(usage.IdleAfter + time.Second)
		f.flush() // removes the field, but the answer is lost
		f.sink.Fail(nil, nil)
		f.use("k1", 2) // through the old counter, which is retired
		f.flush()
		f.flush()
		want(t, "count", f.sink.Count("k1"), 7)
		want(t, "fields", f.sink.Fields("k1"), 1)
		time.Sleep(usage.IdleAfter + time.Second)
		f.flush()
		want(t, "fields", f.sink.Fields("k1"), 0)
		want(t, "counters", f.Live(), 0)
	})
}

// A process is cut off for so long that others have removed its field. It does not count again what
// it had counted.
func TestDaysWithoutRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.use("k1", 5)
		f.flush()
		f.sink.Fail(errDown, nil)
		f.use("k1", 3)
		for range 8 {
			time.Sleep(24 * time.Hour)
			f.flush()
		}
		f.sink.DropFields("k1")
		f.sink.Fail(nil, nil)
		f.flush()
		f.flush()
		want(t, "count", f.sink.Count("k1"), 8)
		want(t, "pending", f.Pending(), 0)
	})
}

// Many uses, flushes that fail before and after they are done, counters that are looked up again or
// retired, and a stop: every use counts once.
func TestUsesAreExactUnderContention(t *testing.T) {
	f := newFixture()
	const keys, each, workers = 4, 3000, 8
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
			f.flush()
			if i%8 == 7 { // as if it had been idle for long
				f.RetireWritten()
			}
		}
	})
	for w := range workers {
		all.Go(func() {
			held := map[string]*usage.Counter{} // as each key cache entry holds one
			for i := range each {
				id := fmt.Sprint("k", (w+i)%keys)
				if held[id] == nil || i%100 == 0 { // as if it was evicted meanwhile
					held[id] = f.Counter(id)
				}
				f.Add(held[id], f.now.UnixNano())
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
