package queue

import (
	"net/url"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// env is a store with its queue, and a client that does what other programs do.
type env struct {
	t     *testing.T
	store *store.Store
	q     *Queue
	raw   *redis.Client
	mini  bool
}

func newEnv(t *testing.T, redisURL string, o Options) *env {
	t.Helper()
	st, err := store.Open(store.Options{URL: redisURL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	u, err := url.Parse(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	raw := redis.NewClient(&redis.Options{Addr: u.Host, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = raw.Close() })
	e := &env{t: t, store: st, q: New(st, o), raw: raw}
	e.do("set", "tenzo:schema", "1")
	return e
}

// eachRedis runs a test on a real Redis and on miniredis.
func eachRedis(t *testing.T, f func(t *testing.T, e *env)) {
	t.Run("redis", func(t *testing.T) { f(t, newEnv(t, harness.StartRedis(t).URL(), Options{})) })
	t.Run("miniredis", func(t *testing.T) {
		e := newEnv(t, "redis://"+miniredis.RunT(t).Addr(), Options{})
		e.mini = true
		f(t, e)
	})
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (e *env) do(args ...any) any {
	e.t.Helper()
	v, err := e.raw.Do(e.t.Context(), args...).Result()
	if err != nil && err != redis.Nil {
		e.t.Fatalf("%v: %v", args, err)
	}
	return v
}

// makeDead publishes an event and moves it to the dead letters.
func (e *env) makeDead(p *Process, org, id, payload string) {
	e.t.Helper()
	e.publish(org, id, payload)
	b := e.dequeue(p, 10)
	if len(b.Events) != 1 {
		e.t.Fatalf("dequeued %d", len(b.Events))
	}
	ev := b.Events[0]
	ev.Attempts, ev.LastStatus, ev.LastError = 4, 500, "answered 500"
	if !e.commit(p, Step{Kind: StepDeadLetter, Event: &ev, Reason: ReasonRetriesExhausted})[0] {
		e.t.Fatal("the event is not a dead letter")
	}
}

func (e *env) activateWebhook(org string) {
	e.do("hset", "tenzo:webhook:"+org, "url", "https://x.example/", "active", "1")
}

func orgAndIDs(letters []DeadLetter) (out []string) {
	for _, d := range letters {
		out = append(out, d.OrgID+"/"+d.ID)
	}
	return out
}

func (e *env) publish(org, id, payload string) string {
	e.t.Helper()
	return must[string](e.t)(e.q.Publish(e.t.Context(), Event{Name: "note.finalized", OrgID: org, ID: id, Payload: []byte(payload)}))
}

func (e *env) process() *Process {
	e.t.Helper()
	p := e.q.NewProcess()
	must[Lease](e.t)(p.Register(e.t.Context()))
	return p
}

func (e *env) dequeue(p *Process, n int) Batch {
	e.t.Helper()
	return must[Batch](e.t)(p.Dequeue(e.t.Context(), n, 64<<20))
}

func (e *env) commit(p *Process, steps ...Step) []bool {
	e.t.Helper()
	return must[CommitResult](e.t)(p.Commit(e.t.Context(), steps)).Done
}

// checkBooks checks the books, and that they balance.
func (e *env) checkBooks(want Books) {
	e.t.Helper()
	got := must[Books](e.t)(e.q.Books(e.t.Context()))
	if d := cmp.Diff(want, got); d != "" {
		e.t.Errorf("books (-want +got):\n%s", d)
	}
	if got.Published+got.Replayed != got.Delivered+got.Skipped+got.Dead+got.Duplicate+got.Waiting+got.Difference {
		e.t.Errorf("the books do not balance: %+v", got)
	}
}

// places counts the unfinished entries in each place.
type places struct{ Held, Retry, Parked int64 }

func (e *env) checkPlaces(want places) {
	e.t.Helper()
	var got places
	for _, k := range e.raw.Keys(e.t.Context(), "{tenzo:events}:held:*").Val() {
		got.Held += e.raw.HLen(e.t.Context(), k).Val()
	}
	for _, k := range e.raw.Keys(e.t.Context(), "{tenzo:events}:parked:*").Val() {
		got.Parked += e.raw.ZCard(e.t.Context(), k).Val()
	}
	got.Retry = e.raw.ZCard(e.t.Context(), "{tenzo:events}:retry").Val()
	if d := cmp.Diff(want, got); d != "" {
		e.t.Errorf("places (-want +got):\n%s", d)
	}
}

// checkConsumers checks how many consumers the group has.
func (e *env) checkConsumers(want int) {
	e.t.Helper()
	all, err := e.raw.XInfoConsumers(e.t.Context(), "tenzo:events", "dispatcher").Result()
	if err != nil || len(all) != want {
		e.t.Errorf("consumers: %+v, %v, want %d", all, err, want)
	}
}

// expireLease lets the lease of a process expire, as if the process had died.
func (e *env) expireLease(p *Process) { e.do("del", "{tenzo:events}:lease:"+p.Name()) }

func (e *env) deadLetters(org string) ([]DeadLetter, error) {
	p, err := e.q.DeadLetters(e.t.Context(), org, 100, "")
	return p.Items, err
}
