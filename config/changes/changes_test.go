package changes_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/config/embedded"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a handler that keeps what it is told.
type recorder struct {
	mu     sync.Mutex
	events []string // key:…, webhook:… or gap
	times  []time.Time
}

func (r *recorder) add(s string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, s)
	r.times = append(r.times, at)
}

func (r *recorder) KeyChanged(hash string, at time.Time)    { r.add("key:"+hash, at) }
func (r *recorder) WebhookChanged(org string, at time.Time) { r.add("webhook:"+org, at) }
func (r *recorder) Gap()                                    { r.add("gap", time.Time{}) }

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

// world is a Redis, a proxy before it, and a follower behind the proxy.
type world struct {
	t        *testing.T
	redis    *harness.Redis
	proxy    *harness.Proxy
	client   *redis.Client // past the proxy
	follower *changes.Follower
	seen     *recorder
	log      *logBuffer
	block    time.Duration // 0: as it runs outside of tests
}

// shortBlock makes tests faster whose waits do not depend on it.
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

// newRealWorld is one whose follower waits as long as it does outside of tests.
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
	w.follower.Subscribe(w.seen)
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

// proven waits until everything up to now is proved to have been handed on.
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

// settled waits for contact, with a position to be proved by, and forgets what was said of it.
func (w *world) settled() {
	w.t.Helper()
	w.proven(5 * time.Second)
	w.announce("key", hash(0))
	w.wait(5*time.Second, "key:"+hash(0), 1)
	w.proven(5 * time.Second)
	w.seen.forget()
}

func TestHandsOnWhatChanges(t *testing.T) {
	w := newRealWorld(t)
	if !w.follower.ProvenAt().IsZero() && w.seen.count("gap") == 0 {
		t.Error("proven before the first contact")
	}
	w.wait(5*time.Second, "gap", 1) // what was read before may be stale
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
		t.Errorf("%d gaps though nothing was missed: %v", n, w.seen.all())
	}
}

func TestManyChangesKeepTheirOrder(t *testing.T) {
	w := newWorld(t)
	w.settled()
	const n = 3500 // more than one turn reads
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
	cancel := w.follower.Subscribe(late)
	w.announce("key", hash(1))
	w.wait(time.Second, "key:"+hash(1), 1)
	if got := late.count("key:" + hash(1)); got != 1 {
		t.Errorf("the late handler got %v", late.all())
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
		t.Errorf("handed on: %v", got)
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
		t.Errorf("a gap though nothing was missed: %v", w.seen.all())
	}
}

func TestNoticesAMuteConnection(t *testing.T) {
	w := newRealWorld(t)
	w.settled()
	w.proxy.MuteConnections() // those that stand; new ones work
	w.announce("key", hash(1))
	w.wait(5*time.Second, "key:"+hash(1), 1)
	w.proven(5 * time.Second)
	if n := w.seen.count("gap"); n != 0 {
		t.Errorf("a gap though nothing was missed: %v", w.seen.all())
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

// What is proved is what was there when it was asked: Redis waits a second before it says that there is nothing new.
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
		t.Errorf("a gap though nothing was missed: %v", w.seen.all())
	}
}

// In each case changes may have been missed, whether the follower was connected or not.
func TestGaps(t *testing.T) {
	ctx := context.Background()
	for name, tc := range map[string]func(w *world){
		"trimmed": func(w *world) {
			w.announce("key", hash(1))
			w.client.XTrimMaxLen(ctx, "tenzo:changes", 0)
		},
		"trimmed past our position": func(w *world) {
			w.announce("key", hash(1))
			w.announce("key", hash(2))
			w.client.XTrimMaxLen(ctx, "tenzo:changes", 1)
		},
		"deleted": func(w *world) { w.client.Del(ctx, "tenzo:changes") },
		"recreated": func(w *world) {
			w.client.Del(ctx, "tenzo:changes")
			w.announce("key", hash(2))
		},
		"recreated by a server whose clock is behind": func(w *world) {
			w.client.Del(ctx, "tenzo:changes")
			w.client.XAdd(ctx, &redis.XAddArgs{Stream: "tenzo:changes", ID: "5-1", Values: []string{"key", hash(2)}})
		},
		"emptied": func(w *world) { w.client.FlushAll(ctx) },
		"another server": func(w *world) {
			other := harness.StartRedis(w.t)
			other.Client(w.t).XAdd(ctx, &redis.XAddArgs{Stream: "tenzo:changes", Values: []string{"key", hash(2)}})
			w.client = other.Client(w.t)
			w.proxy.SetTarget(other.Addr())
		},
		"another, empty server": func(w *world) {
			other := harness.StartRedis(w.t)
			w.client = other.Client(w.t)
			w.proxy.SetTarget(other.Addr())
		},
		"restarted empty": func(w *world) { w.redis.Restart() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.settled()
			w.proxy.Cut()
			tc(w)
			w.proxy.Heal()
			harness.Eventually(t, 5*time.Second, func() error {
				if w.seen.count("gap") == 0 {
					return fmt.Errorf("no gap in %v", w.seen.all())
				}
				return nil
			})
			w.afterwards()
		})
		if strings.Contains(name, "server") && strings.HasPrefix(name, "another") || strings.HasPrefix(name, "restarted") {
			continue // without a reconnect there is none of it
		}
		t.Run(name+" while connected", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.settled()
			// Both in one step for the follower, which else may see them one by one: that is no gap then.
			if name == "trimmed past our position" || name == "trimmed" {
				if err := redis.NewScript(`redis.call('XADD', KEYS[1], '*', 'key', ARGV[1]); redis.call('XADD', KEYS[1], '*', 'key', ARGV[2])
					redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[3])`).Run(ctx, w.client, []string{"tenzo:changes"}, hash(1), hash(2), 1).Err(); err != nil && err != redis.Nil {
					t.Fatal(err)
				}
			} else {
				tc(w)
			}
			harness.Eventually(t, 5*time.Second, func() error {
				if w.seen.count("gap") == 0 {
					return fmt.Errorf("no gap in %v", w.seen.all())
				}
				return nil
			})
			w.afterwards()
		})
	}
}

// afterwards: after a gap the follower follows as before.
func (w *world) afterwards() {
	w.t.Helper()
	w.proven(5 * time.Second)
	w.announce("key", hash(99))
	w.wait(5*time.Second, "key:"+hash(99), 1)
	w.proven(5 * time.Second)
	w.seen.forget()
	w.announce("key", hash(100))
	w.wait(5*time.Second, "key:"+hash(100), 1)
	w.proven(5 * time.Second)
	if n := w.seen.count("gap"); n != 0 {
		w.t.Errorf("%d more gaps: %v", n, w.seen.all())
	}
}

func TestReconnectToAnEmptyStreamIsAGap(t *testing.T) {
	w := newWorld(t)
	w.proven(5 * time.Second)
	w.proven(5 * time.Second)
	gaps := w.seen.count("gap")
	w.proxy.CutConnections()
	w.wait(5*time.Second, "gap", gaps+1)
	w.proven(5 * time.Second)
	w.proven(5 * time.Second)
	if n := w.seen.count("gap"); n != gaps+1 {
		t.Errorf("%d gaps of one cut", n-gaps)
	}
}

func TestFirstContactLate(t *testing.T) {
	w := &world{t: t, redis: harness.StartRedis(t), block: shortBlock}
	w.client = w.redis.Client(t)
	w.announce("key", hash(1))
	w.proxy = harness.StartProxy(t, w.redis.Addr())
	w.proxy.Cut()
	w.follow("redis://" + w.proxy.Addr())
	if !w.follower.ProvenAt().IsZero() {
		t.Error("proven before the first contact")
	}
	w.proxy.Heal()
	w.wait(5*time.Second, "gap", 1)
	w.proven(5 * time.Second)
	if n := w.seen.count("key:" + hash(1)); n != 0 {
		t.Error("what was announced before anything could be cached was handed on")
	}
}

func TestReplicaIsNotFollowed(t *testing.T) {
	w := newWorld(t)
	w.settled()
	since := time.Now()
	w.redis.ReplicaOf(harness.StartRedis(t))
	harness.Eventually(t, 5*time.Second, func() error {
		if w.log.count("lost the stream") == 0 {
			return fmt.Errorf("not noticed")
		}
		return nil
	})
	if at := w.follower.ProvenAt(); at.Sub(since) > 5*time.Second {
		t.Error("a replica proved something")
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if n := w.client.DBSize(t.Context()).Val(); n != 0 {
			return fmt.Errorf("it still has its own data")
		}
		return nil
	})
	w.redis.ReplicaOf(nil)
	w.proven(5 * time.Second)
	if w.seen.count("gap") == 0 {
		t.Error("its data was replaced by that of an empty primary, and there was no gap")
	}
}

func TestFollowsACluster(t *testing.T) {
	c := harness.StartCluster(t)
	w := &world{t: t, block: shortBlock}
	w.follow(c.URL())
	client := c.Client(t)
	w.wait(5*time.Second, "gap", 1)
	for i := range 3 {
		if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: "tenzo:changes", Values: []string{"key", hash(i)}}).Err(); err != nil {
			t.Fatal(err)
		}
		w.wait(2*time.Second, "key:"+hash(i), 1)
	}
	w.proven(5 * time.Second)
}

func TestFollowsTheEmbeddedServer(t *testing.T) {
	server, err := embedded.Start("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	w := &world{t: t, block: shortBlock}
	w.follow(server.URL())
	w.client = redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(server.URL(), "redis://")})
	t.Cleanup(func() { _ = w.client.Close() })
	w.wait(5*time.Second, "gap", 1)
	w.settled()
	w.announce("key", hash(1))
	w.wait(2*time.Second, "key:"+hash(1), 1)
	w.proven(5 * time.Second)
	if n := w.seen.count("gap"); n != 0 {
		t.Errorf("%d gaps", n)
	}
	w.client.FlushAll(t.Context())
	w.wait(5*time.Second, "gap", 1)
}
