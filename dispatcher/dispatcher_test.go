package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// env is a Redis with what a dispatcher needs, and a client that does what other programs do.
type env struct {
	t     testing.TB
	redis *harness.Redis
	store *store.Store
	q     *queue.Queue
	raw   *redis.Client

	wrap func(process) process // the next dispatchers use what it returns
}

func newEnv(t *testing.T, args ...string) *env { return newEnvOf(t, args...) }

func newEnvOf(t testing.TB, args ...string) *env {
	t.Helper()
	r := harness.StartRedis(t, args...)
	r.Mark()
	e := &env{t: t, redis: r, raw: r.Client(t)}
	e.store = e.open(r.URL())
	e.q = queue.New(e.store, queue.Options{})
	return e
}

func (e *env) open(u string) *store.Store {
	e.t.Helper()
	if _, err := url.Parse(u); err != nil {
		e.t.Fatal(err)
	}
	st, err := store.Open(store.Options{URL: u})
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = st.Close() })
	return st
}

func (e *env) webhook(org string) {
	e.t.Helper()
	e.do("hset", "tenzo:webhook:"+org, "url", "https://"+org+".example/hook", "secret", "s", "active", "1")
	e.do("xadd", "tenzo:changes", "*", "webhook", org)
}

func (e *env) do(args ...any) any {
	e.t.Helper()
	v, err := e.raw.Do(context.Background(), args...).Result()
	if err != nil && err != redis.Nil {
		e.t.Fatalf("%v: %v", args, err)
	}
	return v
}

func (e *env) publish(org, id string) string {
	e.t.Helper()
	id, err := e.q.Publish(context.Background(), queue.Event{Name: "note.finalized", OrgID: org, ID: id, Payload: []byte(`{"noteId":"n"}`)})
	if err != nil {
		e.t.Fatal(err)
	}
	return id
}

// answer is how a fake endpoint answers one request.
type answer func(ctx context.Context, r attempt.Request, nth int) attempt.Result

// endpoints is a sender whose endpoints answer as the test says.
type endpoints struct {
	mu      sync.Mutex
	answers map[string]answer // by organization; acknowledged at once where none
	got     map[string][]attempt.Request
	at      map[string][]time.Time
}

func newEndpoints() *endpoints {
	return &endpoints{answers: map[string]answer{}, got: map[string][]attempt.Request{}, at: map[string][]time.Time{}}
}

func (n *endpoints) Close() {}

func (n *endpoints) Send(ctx context.Context, r attempt.Request) attempt.Result {
	n.mu.Lock()
	key := r.Webhook.OrgID + "/" + r.ID
	n.got[key] = append(n.got[key], r)
	n.at[key] = append(n.at[key], time.Now())
	nth := len(n.got[key])
	a := n.answers[r.Webhook.OrgID]
	n.mu.Unlock()
	if a != nil {
		return a(ctx, r, nth)
	}
	return ok
}

var ok = attempt.Result{Acknowledged: true, Class: attempt.Acknowledged, Status: 200, Duration: time.Millisecond}

func fails(context.Context, attempt.Request, int) attempt.Result {
	return attempt.Result{Class: attempt.ServerError, Status: 500, Error: "answered 500", Duration: time.Millisecond}
}

// hangs does not answer until the attempt times out.
func hangs(timeout time.Duration) answer {
	return func(ctx context.Context, _ attempt.Request, _ int) attempt.Result {
		select {
		case <-ctx.Done():
			return attempt.Result{Class: attempt.Other, Cancelled: true}
		case <-time.After(timeout):
			return attempt.Result{Class: attempt.Timeout, Error: "no answer within " + timeout.String(), Duration: timeout}
		}
	}
}

func (n *endpoints) set(org string, a answer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[org] = a
}

// count returns how many requests were made for an event.
func (n *endpoints) count(org, id string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.got[org+"/"+id])
}

func (n *endpoints) times(org, id string) []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]time.Time(nil), n.at[org+"/"+id]...)
}

// passes is a projector that passes payloads unchanged, except one that it calls invalid.
type passes struct{}

func (passes) Project(dst []byte, s payload.Source) ([]byte, error) {
	if string(s.Payload) == `{"bad":1}` {
		return dst, &payload.Error{Reason: payload.InvalidPayload, Detail: "bad"}
	}
	return append(dst, s.Payload...), nil
}

// dispatch runs a dispatcher until the test ends or the returned function is called.
func (e *env) dispatch(n *endpoints, change func(*Options)) (*Dispatcher, func()) {
	e.t.Helper()
	return e.dispatchOn(e.store, n, change)
}

func (e *env) dispatchOn(st *store.Store, n sender, change func(*Options)) (*Dispatcher, func()) {
	e.t.Helper()
	o := Defaults()
	o.Logger = slog.New(slog.NewTextHandler(testWriter{e.t}, nil))
	o.GracePeriod = time.Second
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	follower := changes.New(st, o.Logger)
	var wg sync.WaitGroup
	wg.Go(func() { follower.Run(ctx) })
	d, err := New(st, follower, o)
	if err != nil {
		e.t.Fatal(err)
	}
	d.sender, d.projector = n, passes{}
	if wrap, register := e.wrap, d.newProcess; wrap != nil {
		d.newProcess = func() process { return wrap(register()) }
	}
	wg.Go(func() { d.Run(context.Background()) })
	var once sync.Once
	stop := func() {
		once.Do(func() {
			if err := d.Shutdown(context.Background()); err != nil {
				e.t.Errorf("shutdown: %v", err)
			}
			cancel()
			wg.Wait()
		})
	}
	e.t.Cleanup(stop)
	return d, stop
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) { w.t.Logf("%s", b); return len(b), nil }

// books waits until the books are as wanted. They must balance whenever they are read.
func (e *env) books(within time.Duration, want queue.Books) {
	e.t.Helper()
	harness.Eventually(e.t, within, func() error {
		got, err := e.q.Books(context.Background())
		if err != nil {
			return err
		}
		if got.Published+got.Replayed != got.Delivered+got.Skipped+got.Dead+got.Duplicate+got.Waiting+got.Difference {
			e.t.Errorf("the books do not balance: %+v", got)
		}
		if got != want {
			return fmt.Errorf("books are %+v, want %+v", got, want)
		}
		return nil
	})
}

func TestDelivers(t *testing.T) {
	e := newEnv(t)
	e.webhook("a")
	n := newEndpoints()
	e.dispatch(n, nil)
	for i := range 100 {
		e.publish("a", fmt.Sprint("id", i))
	}
	e.publish("nobody", "x")
	e.books(5*time.Second, queue.Books{Published: 101, Delivered: 100, Skipped: 1})
	for i := range 100 {
		if c := n.count("a", fmt.Sprint("id", i)); c != 1 {
			t.Errorf("event %d was sent %d times", i, c)
		}
	}
	p, err := e.q.Deliveries(t.Context(), "a", 10, "")
	if err != nil || len(p.Items) != 10 || p.NextCursor == "" || p.Items[0].Status != 200 || p.Items[0].Attempt != 1 {
		t.Errorf("delivery log: %+v, %v", p, err)
	}
}

func TestRetries(t *testing.T) {
	e := newEnv(t)
	e.webhook("a")
	n := newEndpoints()
	n.set("a", fails)
	e.dispatch(n, nil)
	e.publish("a", "x")
	e.books(15*time.Second, queue.Books{Published: 1, Dead: 1})
	at := n.times("a", "x")
	if len(at) != 4 {
		t.Fatalf("%d requests", len(at))
	}
	for i, want := range []time.Duration{0, 2 * time.Second, 4 * time.Second} {
		if d := at[i+1].Sub(at[i]); d < want || d > want+2*time.Second {
			t.Errorf("retry %d came after %s, want %s", i+1, d, want)
		}
	}
	p, err := e.q.DeadLetters(t.Context(), "a", 10, "")
	if err != nil || len(p.Items) != 1 {
		t.Fatalf("dead letters: %+v, %v", p, err)
	}
	d := p.Items[0]
	if d.Reason != queue.ReasonRetriesExhausted || d.Attempts != 4 || d.LastStatus != 500 || d.LastError != "answered 500" || d.ID != "x" ||
		d.PublishedAt.IsZero() || d.FirstSeenAt.Before(d.PublishedAt) || d.DeadAt.Sub(d.FirstSeenAt) < 6*time.Second {
		t.Errorf("dead letter: %+v", d)
	}
}

// await waits until a condition holds.
func await(t *testing.T, holds func() bool) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, func() error {
		if !holds() {
			return errors.New("not yet")
		}
		return nil
	})
}
