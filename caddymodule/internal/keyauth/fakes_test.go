package keyauth

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth/usage"
	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth/usage/usagetest"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/cache"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

func TestMain(m *testing.M) {
	// If every dial failed, go-redis continues to dial in a goroutine that notices the end of its
	// pool only within a second.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

var names = store.NewNames(store.DefaultPrefix)

// nameOf returns the name of a key's hash.
func nameOf(key string) string { return names.Key(apikey.Hash(key)) }

// goodFields returns a record as the backend writes it.
func goodFields(id string) map[string]string {
	return map[string]string{"id": id, "org_id": "org-" + id, "name": "name of " + id, "created_at": "2026-01-01T00:00:00Z"}
}

// fakeRedis is a reader whose answers the test sets and whose reads the test can hold back.
type fakeRedis struct {
	mu     sync.Mutex
	hashes map[string]map[string]string
	empty  bool // the marker is missing
	err    error
	reads  int   // keys read
	calls  []int // how many keys each call read

	// gate, where set, is called within each read, after the answer was made up. While it waits,
	// the answer becomes old.
	gate func(ctx context.Context, keys []string)
}

func newFakeRedis() *fakeRedis { return &fakeRedis{hashes: map[string]map[string]string{}} }

func (f *fakeRedis) set(key string, fields map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hashes[nameOf(key)] = fields
}

func (f *fakeRedis) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeRedis) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

// hang makes Redis give no answer.
func (f *fakeRedis) hang(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gate, f.err = nil, nil
	if yes {
		f.err = context.DeadlineExceeded
		f.gate = func(ctx context.Context, _ []string) { <-ctx.Done() }
	}
}

func (f *fakeRedis) ReadHashes(ctx context.Context, keys ...string) []store.Hash {
	f.mu.Lock()
	out := make([]store.Hash, len(keys))
	for i, k := range keys {
		out[i] = store.Hash{Fields: f.hashes[k], Initialized: !f.empty, Err: f.err}
	}
	f.reads += len(keys)
	f.calls = append(f.calls, len(keys))
	gate := f.gate
	f.mu.Unlock()
	if gate != nil {
		gate(ctx, keys)
		for i := range out {
			if err := ctx.Err(); err != nil {
				out[i] = store.Hash{Err: err}
			}
		}
	}
	return out
}

// fakeClock is a pair of clocks that only the test moves.
type fakeClock struct{ wall, mono atomic.Int64 }

func newFakeClock() *fakeClock {
	c := &fakeClock{}
	c.wall.Store(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *fakeClock) read() (wall, mono int64) { return c.wall.Load(), c.mono.Load() }

// pass lets time pass on both clocks.
func (c *fakeClock) pass(d time.Duration) {
	c.wall.Add(int64(d))
	c.mono.Add(int64(d))
}

// reply is an error that Redis answers with.
type reply = usagetest.Reply

var errDown = errors.New("connection refused")

var quiet = slog.New(slog.DiscardHandler)

// fixture is an Auth over fakes.
type fixture struct {
	*Auth
	redis *fakeRedis
	sink  *usagetest.Sink
	hands *fakeClock
}

func newFixture(o Options) *fixture {
	f := &fixture{redis: newFakeRedis(), sink: usagetest.NewSink(), hands: newFakeClock()}
	f.Auth = f.over(o, cache.NewClock(f.hands.read))
	return f
}

// over returns an Auth over the fixture's Redis and Sink.
func (f *fixture) over(o Options, clock *cache.Clock) *Auth {
	o = filled(o)
	return newAuth(f.redis, usage.NewOver(f.sink, o.Logger, o.Metrics.flushed), names, o, clock)
}

// filled returns o with the defaults in place of zero values, and a logger that discards.
func filled(o Options) Options {
	d := Defaults()
	o.CacheSize = cmp.Or(o.CacheSize, d.CacheSize)
	o.CacheTTL = cmp.Or(o.CacheTTL, d.CacheTTL)
	o.UnknownKeyBurst = cmp.Or(o.UnknownKeyBurst, d.UnknownKeyBurst)
	o.UnknownKeyRate = cmp.Or(o.UnknownKeyRate, d.UnknownKeyRate)
	o.Logger = cmp.Or(o.Logger, quiet)
	return withDependencies(o)
}

// reconfigure is Reconfigure with the defaults in place of zero values.
func (f *fixture) reconfigure(o Options) { f.Reconfigure(filled(o)) }

// onTime is a fixture on the (fake) real clock, with Run running, for synctest.
func onTime(t *testing.T, o Options) *fixture {
	t.Helper()
	f := &fixture{redis: newFakeRedis(), sink: usagetest.NewSink()}
	f.Auth = f.over(o, cache.NewClock(nil))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return f
}

// use makes n requests with a key whose id is given, all of which must be admitted.
func (f *fixture) use(t *testing.T, id string, n int) {
	t.Helper()
	key := testKey(id)
	f.redis.set(key, goodFields(id))
	for range n {
		want(t, "verdict", f.ask(key), "allowed "+id)
	}
}

// uses flushes, and returns how many uses of a key were counted.
func (f *fixture) uses(id string) uint64 {
	f.usage.Flush(context.Background())
	return f.sink.Count(id)
}

// ask makes a request with this key and returns "allowed <key id>" or the code of the refusal.
func (f *fixture) ask(key string) string { return f.askFrom(key, "192.0.2.1") }

func (f *fixture) askFrom(key, client string) string {
	return outcome(f.Authenticate(context.Background(), []string{"Bearer " + key}, client))
}

func outcome(v Verdict) string {
	if v.Refusal != nil {
		return v.Refusal.Code
	}
	return "allowed " + v.Key.KeyID
}

func (f *fixture) changed(key string) {
	f.KeyChanged(apikey.Hash(key), time.Unix(0, f.hands.wall.Load()))
}

// want fails if got is something else.
func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// testKey returns a well-formed key for a name.
func testKey(name string) string {
	return apikey.Prefix + hex.EncodeToString([]byte(name)) + strings.Repeat("x", 16)
}

// heldIDs returns the ids of the keys that are held.
func (f *fixture) heldIDs() []string {
	var ids []string
	s := f.valid.Load()
	for i := range s.shards {
		for _, e := range s.shards[i].values() {
			ids = append(ids, e.KeyID)
		}
	}
	slices.Sort(ids)
	return ids
}

// hashOf returns the sha256 hex of the test key for a name.
func hashOf(name string) string { return apikey.Hash(testKey(name)) }
