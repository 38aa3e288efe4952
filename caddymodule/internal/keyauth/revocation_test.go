package keyauth

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

// revoked is goodFields of a revoked key.
func revoked(id string) map[string]string {
	r := goodFields(id)
	r["revoked_at"] = "2026-05-01T00:00:00Z"
	return r
}

// Nothing announces anything, and Redis has long said something else: the record's age alone ends its trust.
func TestRecordIsNeverTrustedLongerThan60s(t *testing.T) {
	tests := []struct {
		name string
		pass func(c *handClock)
		want string
	}{
		{"just below", func(c *handClock) { c.pass(60*time.Second - 1) }, "allowed k1"},
		{"at 60 s", func(c *handClock) { c.pass(60 * time.Second) }, codeRevoked},
		{"suspended: the monotonic clock stands still", func(c *handClock) { c.wall.Add(int64(60 * time.Second)) }, codeRevoked},
		{"wall clock set back an hour", func(c *handClock) {
			c.wall.Add(-int64(time.Hour))
			c.pass(60 * time.Second)
		}, codeRevoked},
		{"wall clock set back within the 60 s", func(c *handClock) {
			c.pass(59 * time.Second)
			c.wall.Add(-int64(time.Hour))
			c.mono.Add(int64(time.Second))
		}, codeRevoked},
		{"wall clock set forward", func(c *handClock) { c.wall.Add(int64(time.Hour)) }, codeRevoked},
		{"wall clock a little ahead", func(c *handClock) {
			c.pass(60*time.Second - time.Millisecond)
			c.wall.Add(int64(time.Millisecond))
		}, codeRevoked},
		{"half of it suspended", func(c *handClock) {
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

// The wall clock is set back, which something notices, and then the machine is suspended: neither clock alone shows the 60 s.
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

func TestClockIgnoresJitter(t *testing.T) {
	h := newHandClock()
	c := newClock(h.read)
	start := c.now()
	for range 1000 { // reading the two clocks far apart, again and again
		h.wall.Add(int64(50 * time.Millisecond))
		c.now()
		h.wall.Add(-int64(50 * time.Millisecond))
		c.now()
	}
	want(t, "age", c.now().since(start), 0)
}

// The age counts from before the read, however long the answer took.
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

func TestExpiryAtItsInstant(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	fields := goodFields("k1")
	fields["expires_at"] = "2026-06-01T12:00:10Z"
	f.redis.set(key, fields)
	want(t, "first", f.ask(key), "allowed k1")
	f.hands.pass(10*time.Second - 1)
	want(t, "just before", f.ask(key), "allowed k1")
	f.hands.pass(1)
	want(t, "at its instant", f.ask(key), codeExpired)
	f.redis.fail(errDown)
	f.Gap()
	want(t, "without Redis", f.ask(key), codeExpired)
	want(t, "uses", f.usage.counter("k1").total(), 2)
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
	want(t, "held", f.held.Load().len(), 0)

	f.redis.set(key, goodFields("k1")) // no such thing as reactivation, but the record was repaired, say
	want(t, "refused is remembered", f.ask(key), codeRevoked)
	f.changed(key)
	want(t, "and forgotten by a push", f.ask(key), "allowed k1")

	for _, nonsense := range []string{"", "xyz", config.HashKey(key)[1:], config.HashKey(key) + "00"} {
		f.KeyChanged(nonsense, time.Now())
	}
	want(t, "after pushes that name no key", f.held.Load().len(), 1)
}

func TestRefusedIsRememberedFor5s(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	want(t, "first", f.ask(key), codeUnknown)
	f.redis.set(key, goodFields("k1"))
	f.hands.pass(5*time.Second - 1)
	want(t, "within 5 s", f.ask(key), codeUnknown)
	f.hands.pass(1)
	want(t, "after 5 s", f.ask(key), "allowed k1")
	want(t, "refused", f.refused.len(), 0)
}

// A read is under way when a push arrives. Who waited since before takes its answer; nobody else does, and it is not kept.
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
					early.Go(func() { want(t, "who waited since before", f.ask(key), "allowed k1") })
				}
				synctest.Wait() // the answer is made up, and stands in the socket
				f.redis.set(key, revoked("k1"))
				if how == "push" {
					f.changed(key)
				} else {
					f.Gap()
				}
				for range 3 {
					late.Go(func() { want(t, "who came after", f.ask(key), codeRevoked) })
				}
				synctest.Wait()
				want(t, "reads under way", f.redis.count(), 2)
				close(first)
				early.Wait()
				synctest.Wait()
				want(t, "held after the first answer", f.held.Load().len(), 0)
				close(second)
				late.Wait()
				want(t, "at last", f.ask(key), codeRevoked)
				want(t, "reads", f.redis.count(), 2)
			})
		})
	}
}

// The answers arrive in the other order: the read that began before the push ends last.
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
		want(t, "held", f.held.Load().len(), 0)
	})
}

// A background read of a held key is under way when the push arrives.
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
		want(t, "held", f.held.Load().len(), 0)
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
	if n := f.redis.count() - reads; n > 2 { // a read and one more try
		t.Errorf("%d reads of a Redis that is down", n)
	}
	f.redis.fail(nil)
	f.redis.set(b, revoked("k2"))
	f.Gap() // the follower has Redis again
	want(t, "as soon as Redis answers", f.ask(b), codeRevoked)
}

// Nothing is trusted that was announced as changed, though Redis has gone away since.
func TestPushThenOutage(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	f.ask(key)
	f.changed(key)
	f.redis.fail(errDown)
	want(t, "verdict", f.ask(key), codeUnavailable)
}

// A request after a gap waits for Redis, which fails; a push arrives in between. What it found before is not good any more.
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

// An empty Redis comes back in the place of ours: that is an outage, whatever it says of the keys.
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
