package keyauth

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
)

// revoked is goodFields of a revoked key.
func revoked(id string) map[string]string {
	r := goodFields(id)
	r["revoked_at"] = "2026-05-01T00:00:00Z"
	return r
}

// The record in Redis has changed and no announcement arrives: only the age of the held record ends
// its use.
func TestRecordIsNeverTrustedLongerThan60s(t *testing.T) {
	tests := []struct {
		name string
		pass func(c *fakeClock)
		want string
	}{
		{"just below", func(c *fakeClock) { c.pass(60*time.Second - 1) }, "allowed k1"},
		{"at 60 s", func(c *fakeClock) { c.pass(60 * time.Second) }, codeRevoked},
		{"suspended: the monotonic clock stands still", func(c *fakeClock) { c.wall.Add(int64(60 * time.Second)) }, codeRevoked},
		{"wall clock set back an hour", func(c *fakeClock) {
			c.wall.Add(-int64(time.Hour))
			c.pass(60 * time.Second)
		}, codeRevoked},
		{"wall clock set back within the 60 s", func(c *fakeClock) {
			c.pass(59 * time.Second)
			c.wall.Add(-int64(time.Hour))
			c.mono.Add(int64(time.Second))
		}, codeRevoked},
		{"wall clock set forward", func(c *fakeClock) { c.wall.Add(int64(time.Hour)) }, codeRevoked},
		{"wall clock a little ahead", func(c *fakeClock) {
			c.pass(60*time.Second - time.Millisecond)
			c.wall.Add(int64(time.Millisecond))
		}, codeRevoked},
		{"half of it suspended", func(c *fakeClock) {
			c.pass(30 * time.Second)
			c.wall.Add(int64(30 * time.Second))
		}, codeRevoked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(Options{})
			key := testKey("a")
			f.redis.set(key, goodFields("k1"))
			want(t, "first", f.ask(key), "allowed k1")
			f.redis.set(key, revoked("k1"))
			tt.pass(f.hands)
			want(t, "then", f.ask(key), tt.want)
		})
	}
}

// The wall clock is set back, which is noticed, and then the machine is suspended: neither clock
// alone shows the 60 s.
func TestSetBackThenSuspended(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	want(t, "first", f.ask(key), "allowed k1")
	f.redis.set(key, revoked("k1"))
	f.hands.wall.Add(-int64(time.Hour))
	f.refreshDue(t.Context()) // Run does so about every second
	f.hands.wall.Add(int64(60 * time.Second))
	want(t, "then", f.ask(key), codeRevoked)
}

// The age counts from before the read, even if the answer takes long.
func TestAgeCountsFromBeforeTheRead(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	f.redis.gate = func(context.Context, []string) { f.hands.pass(10 * time.Second) }
	want(t, "first", f.ask(key), "allowed k1")
	f.redis.gate = nil
	f.redis.set(key, revoked("k1"))
	f.hands.pass(50*time.Second - 1)
	want(t, "just below 60 s", f.ask(key), "allowed k1")
	f.hands.pass(1)
	want(t, "at 60 s", f.ask(key), codeRevoked)
}

func TestPush(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	f.ask(key)
	f.redis.set(key, revoked("k1"))
	want(t, "before the push", f.ask(key), "allowed k1")
	f.changed(key)
	want(t, "after the push", f.ask(key), codeRevoked)
	want(t, "held", f.valid.Load().len(), 0)

	f.redis.set(key, goodFields("k1")) // somebody repaired the record
	want(t, "refused is remembered", f.ask(key), codeRevoked)
	f.changed(key)
	want(t, "and forgotten by a push", f.ask(key), "allowed k1")

	for _, nonsense := range []string{"", "xyz", apikey.Hash(key)[1:], apikey.Hash(key) + "00"} {
		f.KeyChanged(nonsense, time.Now())
	}
	want(t, "after pushes that name no key", f.valid.Load().len(), 1)
}

func TestNegativeEntryLives5s(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	want(t, "first", f.ask(key), codeUnknown)
	f.redis.set(key, goodFields("k1"))
	f.hands.pass(5*time.Second - 1)
	want(t, "within 5 s", f.ask(key), codeUnknown)
	f.hands.pass(1)
	want(t, "after 5 s", f.ask(key), "allowed k1")
	want(t, "refused", f.negative.len(), 0)
}

// A read is in flight when a push arrives. Requests that waited since before get its answer, later
// requests do not, and it is not stored.
func TestPushWinsOverReadInFlight(t *testing.T) {
	for _, how := range []string{"push", "gap"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(Options{})
				key := testKey("a")
				f.redis.set(key, goodFields("k1"))
				gates := make(chan chan struct{}, 2)
				f.redis.gate = func(context.Context, []string) { <-<-gates }
				first, second := make(chan struct{}), make(chan struct{})
				gates <- first
				gates <- second

				var early, late sync.WaitGroup
				for range 3 {
					early.Go(func() { want(t, "a request that waited since before", f.ask(key), "allowed k1") })
				}
				synctest.Wait() // the answer is made, and on its way
				f.redis.set(key, revoked("k1"))
				if how == "push" {
					f.changed(key)
				} else {
					f.Gap()
				}
				for range 3 {
					late.Go(func() { want(t, "a request that came after", f.ask(key), codeRevoked) })
				}
				synctest.Wait()
				want(t, "reads in flight", f.redis.count(), 2)
				close(first)
				early.Wait()
				synctest.Wait()
				want(t, "held after the first answer", f.valid.Load().len(), 0)
				close(second)
				late.Wait()
				want(t, "at last", f.ask(key), codeRevoked)
				want(t, "reads", f.redis.count(), 2)
			})
		})
	}
}

// The read that began before the push ends after the read that began later.
func TestOldAnswerArrivesLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		old := make(chan struct{})
		f.redis.gate = func(context.Context, []string) { <-old }
		var all sync.WaitGroup
		all.Go(func() { f.ask(key) })
		synctest.Wait()
		f.redis.set(key, revoked("k1"))
		f.changed(key)
		f.redis.mu.Lock()
		f.redis.gate = nil
		f.redis.mu.Unlock()
		want(t, "after the push", f.ask(key), codeRevoked)
		close(old)
		all.Wait()
		want(t, "after the old answer", f.ask(key), codeRevoked)
		want(t, "held", f.valid.Load().len(), 0)
	})
}

// A refresh of a held key is in flight when the push arrives.
func TestPushWinsOverRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		f.ask(key)
		f.ask(key)
		f.hands.pass(31 * time.Second)
		gate := make(chan struct{})
		f.redis.gate = func(context.Context, []string) { <-gate }
		var all sync.WaitGroup
		all.Go(func() { f.refreshDue(t.Context()) })
		synctest.Wait()
		f.redis.set(key, revoked("k1"))
		f.changed(key)
		close(gate)
		all.Wait()
		want(t, "held", f.valid.Load().len(), 0)
		want(t, "then", f.ask(key), codeRevoked)
	})
}

func TestGap(t *testing.T) {
	f := newFixture(Options{})
	a, b := testKey("a"), testKey("b")
	f.redis.set(a, goodFields("k1"))
	f.ask(a)
	want(t, "unknown", f.ask(b), codeUnknown)

	f.redis.set(a, revoked("k1")) // and the announcement is lost
	f.redis.set(b, goodFields("k2"))
	f.Gap()
	want(t, "after the gap", f.ask(a), codeRevoked)
	want(t, "a refused one after the gap", f.ask(b), "allowed k2")

	reads := f.redis.count()
	f.Gap()
	f.redis.fail(errDown)
	want(t, "while Redis gives no answer", f.ask(b), "allowed k2")
	want(t, "and again", f.ask(b), "allowed k2")
	if n := f.redis.count() - reads; n > 2 { // a read and a retry
		t.Errorf("%d reads of a Redis that is down", n)
	}
	f.redis.fail(nil)
	f.redis.set(b, revoked("k2"))
	f.Gap() // as the follower does when Redis answers again
	want(t, "as soon as Redis answers", f.ask(b), codeRevoked)
}

// A key that was announced as changed is not trusted, also if Redis becomes unreachable after that.
func TestPushThenOutage(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	f.ask(key)
	f.changed(key)
	f.redis.fail(errDown)
	want(t, "verdict", f.ask(key), codeUnavailable)
}

// A request after a gap waits for Redis, which fails, and a push arrives meanwhile: the record that
// was held before must not be used.
func TestPushWhileWaitingForRedisThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		f.ask(key)
		f.Gap()
		f.redis.fail(errDown)
		f.redis.gate = func(context.Context, []string) {
			f.changed(key)
		}
		want(t, "verdict", f.ask(key), codeUnavailable)
	})
}

// Redis comes back empty. That is an outage, not a verdict on keys.
func TestEmptyRedisAfterGap(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	f.ask(key)
	f.redis.set(key, nil)
	f.redis.empty = true
	f.Gap()
	want(t, "held", f.ask(key), "allowed k1")
	f.hands.pass(60 * time.Second)
	want(t, "after 60 s", f.ask(key), codeUnavailable)
}
