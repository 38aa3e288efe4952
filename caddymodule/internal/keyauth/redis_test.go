package keyauth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/config/embedded"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// process is the part of a gateway that this package needs, on a real Redis: a store, a follower
// and an Auth that run.
type process struct {
	*Auth
	announced *sync.Map // the sha256 hex of each key whose change was announced

	store *store.Store
	keys  *apikey.Service
	log   *syncBuffer
	halt  func() // stops it gracefully, without closing the store
	end   func() // halts it and closes the store
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func startOn(t *testing.T, url string, o Options) *process {
	t.Helper()
	log := &syncBuffer{}
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	o = filled(o)
	st, err := store.Open(store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	follower := changes.New(st, o.Logger)
	o.ProvenAt = follower.ProvenAt
	a := New(st, o)
	announced := &sync.Map{}
	follower.SubscribeKeys(watched{a, announced})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { follower.Run(ctx) })
	running.Go(func() { a.Run(ctx) })
	halt := sync.OnceFunc(func() {
		cancel()
		running.Wait()
		stop, done := context.WithTimeout(context.WithoutCancel(t.Context()), 5*time.Second)
		defer done()
		a.Stop(stop)
	})
	p := &process{
		Auth: a, announced: announced, store: st, keys: apikey.NewService(st), log: log, halt: halt,
		end: sync.OnceFunc(func() {
			halt()
			_ = st.Close()
		}),
	}
	t.Cleanup(p.end)
	harness.Eventually(t, 10*time.Second, func() error {
		if follower.ProvenAt().IsZero() {
			return fmt.Errorf("the follower has not begun")
		}
		return nil
	})
	return p
}

// create makes a key and waits until its announcement has arrived, after which the key would be
// read again.
func (p *process) create(t *testing.T) apikey.Created {
	t.Helper()
	key, err := p.keys.Create(t.Context(), "org-1", apikey.Params{Name: "a key"})
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if _, seen := p.announced.Load(apikey.Hash(key.Secret)); !seen {
			return errors.New("the key was not announced")
		}
		return nil
	})
	return key
}

// watched is an Auth that records the changes it was told of.
type watched struct {
	*Auth
	announced *sync.Map
}

func (w watched) KeyChanged(hash string, at time.Time) {
	w.Auth.KeyChanged(hash, at)
	w.announced.Store(hash, true)
}

func (p *process) revoke(t *testing.T, id string) {
	t.Helper()
	if _, _, err := p.keys.Revoke(t.Context(), "org-1", id); err != nil {
		t.Fatal(err)
	}
}

func (p *process) ask(key string) string {
	return outcome(p.Authenticate(context.Background(), []string{"Bearer " + key}, "192.0.2.1"))
}

// soon fails unless the verdict on key becomes the wanted one within that time.
func (p *process) soon(t *testing.T, within time.Duration, key, verdict string) {
	t.Helper()
	harness.Eventually(t, within, func() error {
		if got := p.ask(key); got != verdict {
			return fmt.Errorf("the verdict is %s, not %s", got, verdict)
		}
		return nil
	})
}

// inTime fails if a request takes much longer than the second it may take. The exact bound is
// tested on a fake clock, which no load disturbs.
func (p *process) inTime(t *testing.T, key, verdict string) {
	t.Helper()
	start := time.Now()
	want(t, "verdict", p.ask(key), verdict)
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("a request took %s", d)
	}
}

func marked(t *testing.T, args ...string) *harness.Redis {
	t.Helper()
	r := harness.StartRedis(t, args...)
	r.Mark()
	return r
}

func TestRedisRevocationSeenByAnotherProcess(t *testing.T) {
	r := marked(t)
	one, two := startOn(t, r.URL(), Options{}), startOn(t, r.URL(), Options{})
	for range 20 {
		key := one.create(t)
		want(t, "verdict", two.ask(key.Secret), "allowed "+key.ID)
		one.revoke(t, key.ID)
		two.soon(t, 5*time.Second, key.Secret, codeRevoked)
	}
}

func TestRedisPaused(t *testing.T) {
	r := marked(t)
	p := startOn(t, r.URL(), Options{})
	held, fresh := p.create(t), p.create(t)
	want(t, "verdict", p.ask(held.Secret), "allowed "+held.ID)
	r.Pause()
	p.inTime(t, fresh.Secret, codeUnavailable)
	p.inTime(t, held.Secret, "allowed "+held.ID)
	p.inTime(t, fresh.Secret, codeUnavailable)
	r.Resume()
	p.soon(t, 10*time.Second, fresh.Secret, "allowed "+fresh.ID)
}

func TestRedisRestartedEmpty(t *testing.T) {
	r := marked(t)
	p := startOn(t, r.URL(), Options{})
	held, fresh := p.create(t), p.create(t)
	want(t, "verdict", p.ask(held.Secret), "allowed "+held.ID)
	r.Kill()
	p.inTime(t, fresh.Secret, codeUnavailable)
	r.Start() // without data, without marker
	for range 50 {
		p.inTime(t, fresh.Secret, codeUnavailable)
		p.inTime(t, held.Secret, "allowed "+held.ID)
		time.Sleep(20 * time.Millisecond)
	}
	r.Mark() // somebody declares that this is the store now
	p.soon(t, 10*time.Second, held.Secret, codeUnknown)
	p.soon(t, 10*time.Second, fresh.Secret, codeUnknown)
}

// The follower is cut off while a key is revoked and the announcement is trimmed away.
func TestRedisTrimmedChanges(t *testing.T) {
	r := marked(t)
	client := r.Client(t)
	proxy := harness.StartProxy(t, r.Addr())
	p := startOn(t, "redis://"+proxy.Addr(), Options{})
	key := p.create(t)
	want(t, "verdict", p.ask(key.Secret), "allowed "+key.ID)
	proxy.Cut()
	other := startOn(t, r.URL(), Options{})
	other.revoke(t, key.ID)
	if err := client.XTrimMaxLen(t.Context(), "tenzo:changes", 0).Err(); err != nil {
		t.Fatal(err)
	}
	want(t, "while cut off", p.ask(key.Secret), "allowed "+key.ID)
	proxy.Heal()
	p.soon(t, 10*time.Second, key.Secret, codeRevoked)
}

// Every connection becomes mute without an error. New connections work.
func TestRedisMuteConnections(t *testing.T) {
	r := marked(t)
	proxy := harness.StartProxy(t, r.Addr())
	p := startOn(t, "redis://"+proxy.Addr(), Options{})
	other := startOn(t, r.URL(), Options{})
	key := p.create(t)
	want(t, "verdict", p.ask(key.Secret), "allowed "+key.ID)
	proxy.MuteConnections()
	other.revoke(t, key.ID)
	p.soon(t, 6*time.Second, key.Secret, codeRevoked)
}

func TestRedisFull(t *testing.T) {
	r := marked(t, "--maxmemory-policy", "noeviction")
	c := r.Client(t)
	p := startOn(t, r.URL(), Options{})
	key, doomed := p.create(t), p.create(t)
	p.useAll(t, key, 5)
	want(t, "verdict", p.ask(doomed.Secret), "allowed "+doomed.ID)
	awaitCount(t, c, key.ID, "5")
	if err := c.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	p.useAll(t, key, 3)
	harness.Eventually(t, 10*time.Second, func() error {
		if !strings.Contains(p.log.String(), "redis is full") {
			return fmt.Errorf("no line says that redis is full")
		}
		return nil
	})
	if got, _, _ := usageOf(t, c, key.ID); got != "5" {
		t.Errorf("the count went on to %s", got)
	}
	p.revoke(t, doomed.ID)
	p.soon(t, 5*time.Second, doomed.Secret, codeRevoked)
	p.end() // nothing can wait any longer
	got, _, private := usageOf(t, c, key.ID)
	want(t, "count", got, "8")
	want(t, "private fields", len(private), 0)
}

func TestRedisCluster(t *testing.T) {
	cluster := harness.StartCluster(t)
	cluster.Mark(t)
	c := cluster.Client(t)
	p := startOn(t, cluster.URL(), Options{})
	var keys []apikey.Created
	for range 10 {
		key := p.create(t)
		keys = append(keys, key)
		p.useAll(t, key, 3)
	}
	for _, key := range keys {
		awaitCount(t, c, key.ID, "3")
	}
	p.revoke(t, keys[0].ID)
	p.soon(t, 5*time.Second, keys[0].Secret, codeRevoked)
	want(t, "unknown", p.ask(apikey.Generate(nil)), codeUnknown)
	p.useAll(t, keys[1], 1)
	p.end()
	got, _, private := usageOf(t, c, keys[1].ID)
	want(t, "count", got, "4")
	want(t, "private fields", len(private), 0)
}

// The ACL of the specification is enough for this package.
func TestRedisACL(t *testing.T) {
	r := marked(t)
	c := r.Client(t)
	if err := c.Do(t.Context(), "ACL", "SETUSER", "gateway", "on", ">secret",
		"~tenzo:*", "~{tenzo:*", "+@all", "-@admin", "-@dangerous", "+info").Err(); err != nil {
		t.Fatal(err)
	}
	p := startOn(t, r.URLAs("gateway", "secret"), Options{})
	tryAll(t, c, p)
}

// The embedded server implements less than Redis, but everything that this package needs.
func TestEmbeddedServer(t *testing.T) {
	server, err := embedded.Start("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	p := startOn(t, server.URL(), Options{})
	tryAll(t, p.store.Client(), p)
}

// tryAll uses a key, checks its count, revokes it and stops.
func tryAll(t *testing.T, c redis.Cmdable, p *process) {
	t.Helper()
	key := p.create(t)
	p.useAll(t, key, 3)
	awaitCount(t, c, key.ID, "3")
	want(t, "unknown", p.ask(apikey.Generate(nil)), codeUnknown)
	p.useAll(t, key, 1)
	p.revoke(t, key.ID)
	allowed := 4
	harness.Eventually(t, 5*time.Second, func() error {
		switch got := p.ask(key.Secret); got {
		case codeRevoked:
			return nil
		case "allowed " + key.ID: // the push has not arrived yet
			allowed++
			return errors.New("not revoked yet")
		default:
			return fmt.Errorf("the verdict is %s", got)
		}
	})
	p.halt()
	got, _, private := usageOf(t, c, key.ID)
	want(t, "count", got, strconv.Itoa(allowed))
	want(t, "private fields", len(private), 0)
	p.end()
}
