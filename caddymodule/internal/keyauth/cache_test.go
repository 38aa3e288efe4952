package keyauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

var errDown = errors.New("connection refused")

func TestVerdictsOfRecords(t *testing.T) {
	f := newFixture(Options{})
	record := func(change ...string) map[string]string {
		r := goodFields("k1")
		for i := 0; i < len(change); i += 2 {
			if change[i+1] == "" {
				delete(r, change[i])
			} else {
				r[change[i]] = change[i+1]
			}
		}
		return r
	}
	tests := []struct {
		name   string
		fields map[string]string
		want   string
	}{
		{"good", record(), "allowed k1"},
		{"without a name", record("name", ""), "allowed k1"},
		{"absent", nil, codeUnknown},
		{"revoked", record("revoked_at", "2026-05-01T00:00:00Z"), codeRevoked},
		{"revoked in the future", record("revoked_at", "2126-05-01T00:00:00Z"), codeRevoked},
		{"revoked in words", record("revoked_at", "yes"), codeRevoked},
		{"revoked and damaged", record("revoked_at", "x", "id", "", "expires_at", "?"), codeRevoked},
		{"expired", record("expires_at", "2026-06-01T12:00:00Z"), codeExpired},
		{"expired under another zone", record("expires_at", "2026-06-01T14:00:00+02:00"), codeExpired},
		{"not expired yet", record("expires_at", "2026-06-01T12:00:00.001Z"), "allowed k1"},
		{"expires after what fits", record("expires_at", "9999-12-31T23:59:59Z"), "allowed k1"},
		{"expired before what fits", record("expires_at", "0001-01-01T00:00:00Z"), codeExpired},
		{"unreadable expiry", record("expires_at", "tomorrow"), codeBadRecord},
		{"expired and damaged", record("expires_at", "2026-05-01T00:00:00Z", "org_id", ""), codeBadRecord},
		{"without id", record("id", ""), codeBadRecord},
		{"without organization", record("org_id", ""), codeBadRecord},
		{"ill-formed organization", record("org_id", "a\r\nb"), codeBadRecord},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := testKey(tt.name)
			f.redis.set(key, tt.fields)
			for range 2 { // from Redis, then from memory
				want(t, "verdict", f.ask(key), tt.want)
			}
			want(t, "reads", f.redis.count(), 1)
			f.redis.reads = 0
		})
	}
}

func TestVerdictCarriesTheIdentity(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	v := f.Authenticate(t.Context(), []string{key}, "")
	if diff := cmp.Diff(&Record{KeyID: "k1", OrgID: "org-k1", Name: "name of k1"}, v.Key); diff != "" {
		t.Error(diff)
	}
}

func TestChecksum(t *testing.T) {
	good, strange := config.GenerateKey(nil), testKey("elsewhere")
	detail := func(f *fixture, key string) string {
		return f.Authenticate(t.Context(), []string{key}, "").Refusal.Detail
	}
	f := newFixture(Options{})
	for range 2 { // from Redis, then from memory
		if d := detail(f, strange); !strings.Contains(d, "looks mistyped") {
			t.Error(d)
		}
		if d := detail(f, good); strings.Contains(d, "looks mistyped") {
			t.Error(d)
		}
	}
	f.redis.set(strange, goodFields("k1"))
	f.changed(strange)
	want(t, "a key made elsewhere", f.ask(strange), "allowed k1")

	f.Reconfigure(Options{RequireChecksum: true})
	reads := f.redis.count()
	want(t, "held, but a checksum is required now", f.ask(strange), codeMalformed)
	want(t, "reads", f.redis.count(), reads)
	if d := detail(f, strange); !strings.Contains(d, "looks mistyped") {
		t.Error(d)
	}
}

func TestTwoHundredFirstUsesCostOneRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		release := make(chan struct{})
		f.redis.gate = func(context.Context, []string) { <-release }
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { want(t, "verdict", f.ask(key), "allowed k1") })
		}
		synctest.Wait() // all of them wait for the one read
		close(release)
		all.Wait()
		want(t, "reads", f.redis.count(), 1)
		want(t, "uses", f.usage.counter("k1").total(), 200)
		want(t, "from redis", f.metrics.lookups[sourceRedis].Load(), 1)
		want(t, "shared", f.metrics.lookups[sourceShared].Load(), 199)
	})
}

// A request that found nothing, and was overtaken by a whole read before it could start one of its own, takes that read's answer.
func TestReadThatEndedMeanwhileWillDo(t *testing.T) {
	f := newFixture(Options{})
	good, bad := testKey("a"), testKey("b")
	f.redis.set(good, goodFields("k1"))
	for key, verdict := range map[string]string{good: "allowed k1", bad: codeUnknown} {
		want(t, "the other's verdict", f.ask(key), verdict)
		d := digest(sha256.Sum256([]byte(key)))
		flight, mine := f.joinUnlessKnown(&d)
		if mine {
			t.Fatalf("%s: another read was begun", verdict)
		}
		v := f.await(t.Context(), &d, flight)
		want(t, "let in", v.Key != nil, key == good)
		want(t, "refused as unknown", v.Refusal == refuseUnknown, key == bad)
	}
	f.Gap()
	d := digest(sha256.Sum256([]byte(good)))
	if flight, mine := f.joinUnlessKnown(&d); !mine {
		t.Errorf("an answer from before the gap did: %v", flight)
	}
}

// The client that came first hangs up; the others still get their answer.
func TestReadOutlivesItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(Options{})
		key := testKey("a")
		f.redis.set(key, goodFields("k1"))
		f.redis.gate = func(ctx context.Context, _ []string) {
			select {
			case <-ctx.Done():
				t.Error("the read was given up")
			case <-time.After(100 * time.Millisecond):
			}
		}
		ctx, hangUp := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { f.Authenticate(ctx, []string{key}, "") })
		synctest.Wait()
		all.Go(func() { want(t, "verdict", f.ask(key), "allowed k1") })
		hangUp()
		all.Wait()
	})
}

func TestSizeIsExactAndGoodKeysStay(t *testing.T) {
	for _, size := range []int{1, 7, 1000, 5000, 100_000} {
		sum := 0
		s := newSpace[int](size)
		for i := range s.shards {
			for j := range 300_000 / len(s.shards) {
				s.shards[i].lru.Add(digest{byte(i), 1, byte(j), byte(j >> 8), byte(j >> 16)}, j)
			}
			sum += s.shards[i].lru.Len()
		}
		want(t, fmt.Sprint("entries of a full space of ", size), sum, size)
		want(t, "len", s.len(), size)
	}

	f := newFixture(Options{CacheSize: 50, UnknownKeyBurst: 1 << 30})
	var keys []string
	for i := range 50 {
		keys = append(keys, testKey(fmt.Sprint("good", i)))
		f.redis.set(keys[i], goodFields(fmt.Sprint("k", i)))
		f.ask(keys[i])
	}
	for i := range maxRefused + 5000 { // a flood of unknown keys
		f.ask(testKey(fmt.Sprint("bad", i)))
	}
	want(t, "good keys held", len(f.heldIDs()), 50)
	if n := f.refused.len(); n > maxRefused {
		t.Errorf("%d refused keys are held", n)
	}
	reads := f.redis.count()
	for i, key := range keys {
		want(t, "verdict", f.ask(key), fmt.Sprint("allowed k", i))
	}
	want(t, "reads for them", f.redis.count()-reads, 0)

	for i := range 500 { // and more good keys than there is room for
		key := testKey(fmt.Sprint("more", i))
		f.redis.set(key, goodFields(fmt.Sprint("m", i)))
		f.ask(key)
	}
	want(t, "good keys held", len(f.heldIDs()), 50)
	want(t, "evictions", f.metrics.evictions.Load(), 500)
}

func TestLeastRecentlyUsedLeavesFirst(t *testing.T) {
	f := newFixture(Options{CacheSize: 2})
	a, b, c := testKey("a"), testKey("b"), testKey("c")
	for _, key := range []string{a, b, c} {
		f.redis.set(key, goodFields("of-"+key[9:11]))
	}
	f.ask(a)
	f.ask(b)
	f.hands.pass(2 * time.Second)
	f.ask(a) // used after b
	f.ask(c)
	if diff := cmp.Diff([]string{"of-" + a[9:11], "of-" + c[9:11]}, f.heldIDs()); diff != "" {
		t.Error(diff)
	}
}

func TestReconfigureKeepsKeysAndCounts(t *testing.T) {
	f := newFixture(Options{CacheSize: 5000})
	for i := range 3000 {
		key := testKey(fmt.Sprint(i))
		f.redis.set(key, goodFields(fmt.Sprint("k", i)))
		f.ask(key)
	}
	reads := f.redis.count()
	for _, size := range []int{100_000, 4000, 4000} {
		f.Reconfigure(Options{CacheSize: size})
		want(t, "held", len(f.heldIDs()), 3000)
	}
	want(t, "verdict", f.ask(testKey("7")), "allowed k7")
	want(t, "reads", f.redis.count()-reads, 0)
	want(t, "uses", f.usage.counter("k7").total(), 2)

	f.Reconfigure(Options{CacheSize: 10})
	want(t, "held in a smaller space", len(f.heldIDs()), 10)
	f.Reconfigure(Options{CacheSize: 10, CacheTTL: time.Hour})
	want(t, "longest life", f.settings.Load().ttl, 60*time.Second)
}

// A reload that changes the size meets readers, pushes and flights.
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
		f.Reconfigure(Options{CacheSize: 10 + i*100})
		f.changed(key)
	}
	close(stop)
	all.Wait()
}

func TestNoMarkerIsNoVerdict(t *testing.T) {
	f := newFixture(Options{})
	a, b := testKey("a"), testKey("b")
	f.redis.set(b, goodFields("k2"))
	f.redis.empty = true
	want(t, "not found, no marker", f.ask(a), codeUnavailable)
	want(t, "found, no marker", f.ask(b), "allowed k2")
	want(t, "another that is not found", f.ask(testKey("c")), codeUnavailable)
	f.redis.empty = false
	want(t, "not found, marker", f.ask(a), codeUnknown)
}

func TestWrongTypeIsABadRecord(t *testing.T) {
	f := newFixture(Options{})
	f.redis.fail(reply("WRONGTYPE Operation against a key holding the wrong kind of value"))
	want(t, "verdict", f.ask(testKey("a")), codeBadRecord)
	f.redis.fail(nil)
	want(t, "another's verdict", f.ask(testKey("b")), codeUnknown)
}

// An error that Redis answers with costs nobody else anything.
func TestRedisAnswersWithAnError(t *testing.T) {
	f := newFixture(Options{})
	f.redis.fail(reply("LOADING Redis is loading the dataset in memory"))
	want(t, "verdict", f.ask(testKey("a")), codeUnavailable)
	f.redis.fail(nil)
	want(t, "verdict", f.ask(testKey("a")), codeUnknown)
}
