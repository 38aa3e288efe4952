package queue

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// env is a store with its queue, and a client beside for what other programs do.
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

func (e *env) do(args ...any) any {
	e.t.Helper()
	v, err := e.raw.Do(e.t.Context(), args...).Result()
	if err != nil && err != redis.Nil {
		e.t.Fatalf("%v: %v", args, err)
	}
	return v
}

// on runs a test on a real Redis and on miniredis.
func on(t *testing.T, f func(t *testing.T, e *env)) {
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

func (e *env) take(p *Process, n int) Batch {
	e.t.Helper()
	return must[Batch](e.t)(p.Dequeue(e.t.Context(), n, 64<<20))
}

func (e *env) commit(p *Process, steps ...Step) []bool {
	e.t.Helper()
	return must[CommitResult](e.t)(p.Commit(e.t.Context(), steps)).Done
}

// books checks the books, which must balance besides.
func (e *env) books(want Books) {
	e.t.Helper()
	got := must[Books](e.t)(e.q.Books(e.t.Context()))
	if d := cmp.Diff(want, got); d != "" {
		e.t.Errorf("books (-want +got):\n%s", d)
	}
	if got.Published+got.Replayed != got.Delivered+got.Skipped+got.Dead+got.Duplicate+got.Waiting+got.Difference {
		e.t.Errorf("the books do not balance: %+v", got)
	}
}

func TestFromPublishedToDelivered(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		for i := range 40 {
			e.publish("org", fmt.Sprint("id-", i), `{"a":1}`)
		}
		p := e.process()
		b := e.take(p, 256)
		if len(b.Events) != 40 || !b.AtEnd {
			t.Fatalf("took %d, end %v", len(b.Events), b.AtEnd)
		}
		first := b.Events[0]
		if first.ID != "id-0" || string(first.Payload) != `{"a":1}` || first.OrgID != "org" || first.Event != "note.finalized" || !first.Explicit {
			t.Errorf("took %+v", first)
		}
		if d := time.Since(first.PublishedAt); d < 0 && !e.mini || d > time.Minute {
			t.Errorf("published %s ago", d)
		}
		e.books(Books{Published: 40, Waiting: 40})
		var steps []Step
		for i := range b.Events {
			steps = append(steps, Step{Kind: StepDeliver, Event: &b.Events[i], Delivery: &Delivery{ID: b.Events[i].ID, Event: "note.finalized", Attempt: 1, Status: 200, At: time.Now()}})
		}
		for i, done := range e.commit(p, steps...) {
			if !done {
				t.Errorf("step %d did nothing", i)
			}
		}
		for _, done := range e.commit(p, steps...) {
			if done {
				t.Error("a repeated step did something")
			}
		}
		e.books(Books{Published: 40, Delivered: 40})
		e.publish("org", "id-3", `{}`)
		if b := e.take(p, 256); len(b.Events) != 0 || len(b.Rejected) != 1 || b.Rejected[0].Dead {
			t.Errorf("a duplicate was taken: %+v", b)
		}
		e.books(Books{Published: 41, Delivered: 40, Duplicate: 1})
	})
}
