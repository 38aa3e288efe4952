package keyauth

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestUnknownKeysAreLimited(t *testing.T) {
	f := newFixture(Options{})
	held, fresh := testKey("held"), testKey("fresh")
	f.redis.set(held, goodFields("k1"))
	f.redis.set(fresh, goodFields("k2"))
	f.ask(held)
	n := 0
	bad := func() string { n++; return testKey(fmt.Sprint("bad", n)) }

	for range 100 {
		want(t, "within the burst", f.ask(bad()), codeUnknown)
	}
	reads := f.redis.count()
	v := f.Authenticate(t.Context(), []string{bad()}, "192.0.2.1")
	want(t, "beyond", v.Refusal.Code, codeTooMany)
	want(t, "Retry-After", v.Refusal.RetryAfter, time.Second)
	want(t, "a held key", f.ask(held), "allowed k1")
	want(t, "a key not held", f.ask(fresh), codeTooMany)
	want(t, "another client", f.askFrom(bad(), "192.0.2.2"), codeUnknown)
	want(t, "reads", f.redis.count()-reads, 1)

	f.Gap()
	want(t, "a held key that must be read again", f.ask(held), "allowed k1")

	for range 5 { // one a second
		f.hands.pass(time.Second)
		want(t, "after a second", f.ask(bad()), codeUnknown)
		want(t, "and another at once", f.ask(bad()), codeTooMany)
	}
	f.hands.pass(time.Second)
	want(t, "a good key costs nothing", f.ask(fresh), "allowed k2")
	want(t, "so there is one more", f.ask(bad()), codeUnknown)
	f.hands.pass(time.Hour)
	for range 100 {
		want(t, "the burst again", f.ask(bad()), codeUnknown)
	}
	want(t, "and its end", f.ask(bad()), codeTooMany)

	f.reconfigure(Options{UnknownKeyBurst: 100, UnknownKeyRate: 10})
	want(t, "at once", f.ask(bad()), codeTooMany)
	f.hands.pass(time.Second)
	for range 10 {
		want(t, "at a higher rate", f.ask(bad()), codeUnknown)
	}
	want(t, "beyond the higher rate", f.ask(bad()), codeTooMany)
}

// A thousand concurrent requests with unknown keys get no more reads than the same requests one
// after another.
func TestUnknownKeysAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		f.redis.gate = func(context.Context, []string) { time.Sleep(time.Millisecond) }
		var unknown, tooMany atomic.Int64
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				switch got := f.ask(testKey(fmt.Sprint(i))); got {
				case codeUnknown:
					unknown.Add(1)
				case codeTooMany:
					tooMany.Add(1)
				default:
					t.Error(got)
				}
			})
		}
		all.Wait()
		want(t, "unknown", unknown.Load(), 100)
		want(t, "too many", tooMany.Load(), 900)
		want(t, "reads", f.redis.count(), 100)
	})
}

// A thousand valid keys are used for the first time from one address: none is refused.
func TestGoodKeysAtOnceAreNotLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		f.redis.gate = func(context.Context, []string) { time.Sleep(time.Millisecond) }
		for i := range 1000 {
			f.redis.set(testKey(fmt.Sprint(i)), goodFields(fmt.Sprint("k", i)))
		}
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() { want(t, "verdict", f.ask(testKey(fmt.Sprint(i))), fmt.Sprint("allowed k", i)) })
		}
		all.Wait()
	})
}

// Redis hangs while a client has reserved all its tokens. The requests that wait for a token get
// key_store_unavailable in time, and no token is lost.
func TestReservationBehindAHangingRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{UnknownKeyBurst: 1})
		f.redis.hang(true)
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				start := time.Now()
				want(t, "verdict", f.ask(testKey(fmt.Sprint(i))), codeUnavailable)
				if d := time.Since(start); d >= time.Second {
					t.Errorf("took %s", d)
				}
			})
		}
		all.Wait()
		c, _ := f.limiter.clients.Get(clientPrefix("192.0.2.1"))
		want(t, "reserved", c.reserved, 0)
		want(t, "waiting", len(c.waiting), 0)
		want(t, "left in the bucket", c.hasToken(f.limiter.now()), true)
	})
}

// Redis does not answer for half a second while a client has more first uses of valid keys in
// flight than tokens: none is refused.
func TestReservationBehindASlowRedis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{UnknownKeyBurst: 10})
		for i := range 30 {
			f.redis.set(testKey(fmt.Sprint(i)), goodFields(fmt.Sprint(i)))
		}
		still := time.Now().Add(500 * time.Millisecond)
		f.redis.gate = func(ctx context.Context, _ []string) {
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(still)):
			}
		}
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				if verdict := f.ask(testKey(fmt.Sprint(i))); !strings.HasPrefix(verdict, "allowed") {
					t.Errorf("the verdict is %s", verdict)
				}
			})
		}
		all.Wait()
	})
}

func TestClientPrefix(t *testing.T) {
	for text, bucket := range map[string]string{
		"192.0.2.1":             "192.0.2.1/32",
		"::ffff:192.0.2.1":      "192.0.2.1/32",
		"2001:db8:1:2:3:4:5:6":  "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::":   "2001:db8:1:2::/64",
		"fe80::1%eth0":          "fe80::/64",
		"":                      netip.Prefix{}.String(),
		"unix":                  netip.Prefix{}.String(),
		"192.0.2.1:80":          netip.Prefix{}.String(),
		strings.Repeat("1", 99): netip.Prefix{}.String(),
	} {
		want(t, text, clientPrefix(text).String(), bucket)
	}
}

func TestClientsAreForgotten(t *testing.T) {
	f := newFixture(Options{})
	for i := range maxClients + 1000 {
		f.askFrom(testKey("a"), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String())
		f.changed(testKey("a"))
	}
	want(t, "clients remembered", f.limiter.clients.Len(), maxClients)
}
