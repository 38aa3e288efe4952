package keyauth

import (
	"context"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

func TestMain(m *testing.M) {
	// Where every dial failed, go-redis dials on in a goroutine that notices the end of its pool within a second only.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

var names = store.NewNames(store.DefaultPrefix)

// nameOf is the name of a key's hash.
func nameOf(key string) string { return names.Key(config.HashKey(key)) }

// goodFields is a record as the backend writes it.
func goodFields(id string) map[string]string {
	return map[string]string{"id": id, "org_id": "org-" + id, "name": "name of " + id, "created_at": "2026-01-01T00:00:00Z"}
}

// fakeRedis is a reader whose answers the test sets and whose reads it can hold back.
type fakeRedis struct {
	mu     sync.Mutex
	hashes map[string]map[string]string
	empty  bool // the marker is missing
	err    error
	reads  int   // keys read
	calls  []int // how many keys each call read

	// gate, where set, is called within each read, after the answer was made up: what it waits for makes the answer old.
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

func (f *fakeRedis) ReadHashes(ctx context.Context, keys ...string) []store.Hash {
	f.mu.Lock()
	out := make([]store.Hash, len(keys))
	for i, k := range keys {
		out[i] = store.Hash{Fields: f.hashes[k], Marked: !f.empty, Err: f.err}
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

// fakeCounts keeps usage like the script does, and can fail before or after it did.
type fakeCounts struct {
	mu     sync.Mutex
	count  map[string]uint64            // by key id
	last   map[string]int64             // by key id
	fields map[string]map[string]uint64 // by key id, then field
	before error                        // nothing is done
	after  error                        // everything is done, and the answer lost
	frees  bool                         // whether only a freeing send passes
}

func newFakeCounts() *fakeCounts {
	return &fakeCounts{count: map[string]uint64{}, last: map[string]int64{}, fields: map[string]map[string]uint64{}}
}

func (f *fakeCounts) send(_ context.Context, totals []total, free bool) []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	errs := make([]error, len(totals))
	for i, t := range totals {
		errs[i] = f.before
		if f.frees && !free {
			errs[i] = errOOM
		}
		if errs[i] != nil {
			continue
		}
		if f.fields[t.id] == nil {
			f.fields[t.id] = map[string]uint64{}
		}
		if had := f.fields[t.id][t.field]; t.count > had {
			f.count[t.id] += t.count - had
			f.fields[t.id][t.field] = t.count
		}
		f.last[t.id] = max(f.last[t.id], t.last)
		errs[i] = f.after
	}
	return errs
}

func (f *fakeCounts) fold(_ context.Context, totals []total) []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	errs := make([]error, len(totals))
	for i, t := range totals {
		if errs[i] = f.before; errs[i] == nil {
			delete(f.fields[t.id], t.field)
			errs[i] = f.after
		}
	}
	return errs
}

func (f *fakeCounts) total(id string) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count[id]
}

type reply string

func (e reply) Error() string { return string(e) }
func (reply) RedisError()     {}

const errOOM = reply("OOM command not allowed when used memory > 'maxmemory'.")

// handClock is a pair of clocks that only the test moves.
type handClock struct{ wall, mono atomic.Int64 }

func newHandClock() *handClock {
	c := &handClock{}
	c.wall.Store(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *handClock) read() (wall, mono int64) { return c.wall.Load(), c.mono.Load() }

// pass lets time pass on both clocks.
func (c *handClock) pass(d time.Duration) {
	c.wall.Add(int64(d))
	c.mono.Add(int64(d))
}

var quiet = slog.New(slog.DiscardHandler)

// fixture is an Auth over fakes.
type fixture struct {
	*Auth
	redis  *fakeRedis
	counts *fakeCounts
	hands  *handClock
}

func newFixture(o Options) *fixture {
	f := &fixture{redis: newFakeRedis(), counts: newFakeCounts(), hands: newHandClock()}
	if o.Logger == nil {
		o.Logger = quiet
	}
	f.Auth = newAuth(f.redis, f.counts, names, o, f.hands.read)
	return f
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
	f.KeyChanged(config.HashKey(key), time.Unix(0, f.hands.wall.Load()))
}

// want fails where got is something else.
func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// testKey is a well-formed key for a name.
func testKey(name string) string {
	return config.KeyPrefix + hex.EncodeToString([]byte(name)) + strings.Repeat("x", 16)
}

// heldIDs are the ids of the keys that are held.
func (f *fixture) heldIDs() []string {
	var ids []string
	s := f.held.Load()
	for i := range s.shards {
		for _, e := range s.shards[i].values() {
			ids = append(ids, e.KeyID)
		}
	}
	slices.Sort(ids)
	return ids
}

// hashOf is the sha256 hex of the test key for a name.
func hashOf(name string) string { return config.HashKey(testKey(name)) }
