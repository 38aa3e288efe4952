package changes_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a handler that records its calls. Changes of keys are delivered to the recorder
// itself, changes of webhooks to its webhooks.
type recorder struct {
	mu     sync.Mutex
	events []string // key:…, webhook:… or gap
	times  []time.Time

	gaps atomic.Int64 // that the webhooks were told of
}

func (r *recorder) add(s string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, s)
	r.times = append(r.times, at)
}

func (r *recorder) KeyChanged(hash string, at time.Time) { r.add("key:"+hash, at) }
func (r *recorder) Gap()                                 { r.add("gap", time.Time{}) }

// webhooks records changes of webhooks, and their gaps as a kind of their own.
type webhooks struct{ *recorder }

func (w webhooks) WebhookChanged(org string, at time.Time) { w.add("webhook:"+org, at) }
func (w webhooks) Gap()                                    { w.gaps.Add(1) }

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

func (r *recorder) count(s string) int {
	n := 0
	for _, e := range r.all() {
		if e == s {
			n++
		}
	}
	return n
}

func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events, r.times = nil, nil
}

// hash is a well-formed sha256 hex.
func hash(n int) string { return fmt.Sprintf("%064x", n) }

// world is a Redis, a proxy in front of it, and a follower that uses the proxy.
type world struct {
	t        *testing.T
	redis    *harness.Redis
	proxy    *harness.Proxy
	client   *redis.Client // without the proxy
	follower *changes.Follower
	seen     *recorder
	log      *logBuffer
	block    time.Duration // 0: as in production
}

// shortBlock makes tests faster that do not depend on the wait in Redis.
const shortBlock = 100 * time.Millisecond

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func newWorld(t *testing.T) *world { return newWorldThatWaits(t, shortBlock) }

// newRealWorld returns a world whose follower waits in Redis as long as in production.
func newRealWorld(t *testing.T) *world { return newWorldThatWaits(t, 0) }

func newWorldThatWaits(t *testing.T, block time.Duration) *world {
	t.Helper()
	w := &world{t: t, redis: harness.StartRedis(t), block: block}
	w.proxy = harness.StartProxy(t, w.redis.Addr())
	w.client = w.redis.Client(t)
	w.follow("redis://" + w.proxy.Addr())
	return w
}

// follow starts a follower until the test ends.
func (w *world) follow(url string) {
	w.t.Helper()
	st, err := store.Open(store.Options{URL: url})
	if err != nil {
		w.t.Fatal(err)
	}
	w.log = &logBuffer{}
	w.follower = changes.New(st, slog.New(slog.NewTextHandler(w.log, nil)))
	if w.block != 0 {
		w.follower.SetBlock(w.block)
	}
	w.seen = &recorder{}
	w.follower.SubscribeKeys(w.seen)
	w.follower.SubscribeWebhooks(webhooks{w.seen})
	run, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.follower.Run(run) })
	w.t.Cleanup(func() {
		cancel()
		wg.Wait()
		if err := st.Close(); err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) announce(field, value string) string {
	w.t.Helper()
	id, err := w.client.XAdd(w.t.Context(), &redis.XAddArgs{Stream: "tenzo:changes", Values: []string{field, value}}).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) wait(within time.Duration, want string, times int) {
	w.t.Helper()
	harness.Eventually(w.t, within, func() error {
		if n := w.seen.count(want); n != times {
			return fmt.Errorf("%q %d times, want %d, in %v", want, n, times, w.seen.all())
		}
		return nil
	})
}

// proven waits until every change up to now is proved to have been delivered.
func (w *world) proven(within time.Duration) {
	w.t.Helper()
	now := time.Now()
	harness.Eventually(w.t, within, func() error {
		if at := w.follower.ProvenAt(); at.Before(now) {
			return fmt.Errorf("proven up to %v ago", time.Since(at))
		}
		return nil
	})
}

// settled waits for contact and a position that proves something, and clears what was recorded.
func (w *world) settled() {
	w.t.Helper()
	w.proven(5 * time.Second)
	w.announce("key", hash(0))
	w.wait(5*time.Second, "key:"+hash(0), 1)
	w.proven(5 * time.Second)
	w.seen.forget()
}

func TestDeliversChanges(t *testing.T) {
	w := newRealWorld(t)
	if !w.follower.ProvenAt().IsZero() && w.seen.count("gap") == 0 {
		t.Error("proven before the first contact")
	}
	w.wait(5*time.Second, "gap", 1) // records read before may be stale
	w.follower.ProvenAt()           // returns once all handlers have been told
	if n := w.seen.gaps.Load(); n != 1 {
		t.Errorf("the webhooks were told of %d gaps, the keys of 1", n)
	}
	w.settled()
	start := time.Now()
	id := w.announce("key", hash(1))
	w.wait(time.Second, "key:"+hash(1), 1)
	if took := time.Since(start); took > 300*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	ms, _, _ := strings.Cut(id, "-")
	if got := fmt.Sprint(w.seen.times[0].UnixMilli()); got != ms {
		t.Errorf("announced at %s, want %s", got, ms)
	}
	w.announce("webhook", "acme")
	w.wait(time.Second, "webhook:acme", 1)
	w.announce("key", strings.ToUpper(hash(0xabc)))
	w.wait(time.Second, "key:"+hash(0xabc), 1)
	w.proven(5 * time.Second)
	if n := w.seen.count("gap"); n != 0 {
		t.Errorf("%d gaps although nothing was missed: %v", n, w.seen.all())
	}
}

func TestManyChangesKeepTheirOrder(t *testing.T) {
	w := newWorld(t)
	w.settled()
	const n = 3500 // more than one poll reads
	pipe := w.client.Pipeline()
	for i := range n {
		pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: "tenzo:changes", Values: []string{"key", hash(i)}})
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.wait(10*time.Second, "key:"+hash(n-1), 1)
	got := w.seen.all()
	if len(got) != n {
		t.Fatalf("%d of %d", len(got), n)
	}
	for i, e := range got {
		if e != "key:"+hash(i) {
			t.Fatalf("%d: %s", i, e)
		}
	}
}

func TestSubscribeLateAndCancel(t *testing.T) {
	w := newWorld(t)
	w.settled()
	late := &recorder{}
	cancel := w.follower.SubscribeKeys(late)
	w.announce("key", hash(1))
	w.wait(time.Second, "key:"+hash(1), 1)
	if got := late.count("key:" + hash(1)); got != 1 {
		t.Errorf("late handler got %v", late.all())
	}
	cancel()
	cancel()
	w.announce("key", hash(2))
	w.wait(time.Second, "key:"+hash(2), 1)
	if got := late.all(); len(got) != 1 {
		t.Errorf("after cancel: %v", got)
	}
}

func TestIllFormedEntriesAreIgnored(t *testing.T) {
	w := newWorld(t)
	w.settled()
	w.announce("key", "short")
	w.announce("key", strings.Repeat("g", 64))
	w.announce("webhook", "no id!")
	w.announce("something", "else")
	if err := w.client.XAdd(t.Context(), &redis.XAddArgs{Stream: "tenzo:changes", Values: []string{"private", "x", "webhook", "acme", "key", hash(7)}}).Err(); err != nil {
		t.Fatal(err)
	}
	w.wait(time.Second, "webhook:acme", 1)
	w.proven(5 * time.Second)
	if got := w.seen.all(); !slices.Equal(got, []string{"key:" + hash(7), "webhook:acme"}) {
		t.Errorf("delivered: %v", got)
	}
	if n := w.log.count("ignored an entry"); n != 1 {
		t.Errorf("mentioned %d times", n)
	}
}

func TestCatchesUpAfterACut(t *testing.T) {
	w := newWorld(t)
	w.settled()
	w.proxy.Cut()
	w.announce("key", hash(1))
	w.announce("webhook", "acme")
	w.proxy.Heal()
	w.wait(5*time.Second, "key:"+hash(1), 1)
	w.wait(time.Second, "webhook:acme", 1)
	w.proven(5 * time.Second)
	if n := w.seen.count("gap"); n != 0 {
		t.Errorf("gap although nothing was missed: %v", w.seen.all())
	}
}

func TestNoticesAMuteConnection(t *testing.T) {
	w := newRealWorld(t)
	w.settled()
	w.proxy.MuteConnections() // the open ones; new ones work
	w.announce("key", hash(1))
	w.wait(5*time.Second, "key:"+hash(1), 1)
	w.proven(5 * time.Second)
	if n := w.seen.count("gap"); n != 0 {
		t.Errorf("gap although nothing was missed: %v", w.seen.all())
	}
}

func TestProvesNothingWhileMute(t *testing.T) {
	w := newRealWorld(t)
	w.settled()
	w.proxy.Mute()
	muted := time.Now()
	harness.Eventually(t, 8*time.Second, func() error {
		if w.log.count("lost the stream") == 0 {
			return fmt.Errorf("not noticed after %v", time.Since(muted))
		}
		return nil
	})
	if took := time.Since(muted); took > 5*time.Second {
		t.Errorf("noticed after %v", took)
	}
	if at := w.follower.ProvenAt(); at.After(muted) {
		t.Errorf("proven %v after it went mute", at.Sub(muted))
	}
	w.proxy.Heal()
	w.proven(5 * time.Second)
}

// A reply proves the changes up to the moment the poll was sent: Redis waits a second before it
// replies that there are none.
func TestProvesTheMomentOfAsking(t *testing.T) {
	w := newRealWorld(t)
	w.settled()
	for range 2 {
		before := w.follower.ProvenAt()
		harness.Eventually(t, 5*time.Second, func() error {
			at := w.follower.ProvenAt()
			if at.Equal(before) {
				return fmt.Errorf("nothing more was proved")
			}
			if age := time.Since(at); age < 900*time.Millisecond {
				t.Errorf("proven up to %v ago, by an answer that took a second", age)
			}
			return nil
		})
	}
}

func TestPausedRedis(t *testing.T) {
	w := newRealWorld(t)
	w.settled()
	w.redis.Pause()
	paused := time.Now()
	harness.Eventually(t, 5*time.Second, func() error {
		if w.log.count("lost the stream") == 0 {
			return fmt.Errorf("not noticed")
		}
		return nil
	})
	if at := w.follower.ProvenAt(); at.After(paused) {
		t.Error("proven while nothing answered")
	}
	w.redis.Resume()
	w.announce("key", hash(1))
	w.wait(5*time.Second, "key:"+hash(1), 1)
	if n := w.seen.count("gap"); n != 0 {
		t.Errorf("gap although nothing was missed: %v", w.seen.all())
	}
}
