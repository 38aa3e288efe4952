package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// fault is what happens to one call of a process.
type fault int

const (
	none  fault = iota
	unmet       // the call does not reach Redis
	lost        // Redis does what was asked for, and the reply is lost
)

// faulty is a process whose calls meet the faults of a test. Once frozen, none of its calls returns
// before its context ends, as if the process were killed.
type faulty struct {
	process
	fault  func(call string) fault
	frozen atomic.Bool
}

func call[T any](f *faulty, ctx context.Context, name string, do func() (T, error)) (T, error) {
	var nothing T
	if f.frozen.Load() {
		<-ctx.Done()
		return nothing, ctx.Err()
	}
	how := f.fault(name)
	if how == unmet {
		return nothing, errLost
	}
	v, err := do()
	if how == lost && err == nil {
		return nothing, errLost
	}
	return v, err
}

// calling is call for what returns nothing but an error.
func calling(f *faulty, ctx context.Context, name string, do func() error) error {
	_, err := call(f, ctx, name, func() (struct{}, error) { return struct{}{}, do() })
	return err
}

func (f *faulty) Register(ctx context.Context) (queue.Lease, error) {
	return call(f, ctx, "Register", func() (queue.Lease, error) { return f.process.Register(ctx) })
}

func (f *faulty) Renew(ctx context.Context) (queue.Lease, error) {
	return call(f, ctx, "Renew", func() (queue.Lease, error) { return f.process.Renew(ctx) })
}

func (f *faulty) Release(ctx context.Context) error {
	return calling(f, ctx, "Release", func() error { return f.process.Release(ctx) })
}

func (f *faulty) Dequeue(ctx context.Context, n int, budget int64) (queue.Batch, error) {
	return call(f, ctx, "Dequeue", func() (queue.Batch, error) { return f.process.Dequeue(ctx, n, budget) })
}

func (f *faulty) DequeueDue(ctx context.Context, n int, budget int64) (queue.Batch, error) {
	return call(f, ctx, "DequeueDue", func() (queue.Batch, error) { return f.process.DequeueDue(ctx, n, budget) })
}

func (f *faulty) Unpark(ctx context.Context, rooms []queue.Capacity, budget int64) (queue.Batch, error) {
	return call(f, ctx, "Unpark", func() (queue.Batch, error) { return f.process.Unpark(ctx, rooms, budget) })
}

func (f *faulty) ParkedOrgs(ctx context.Context, start, n int) ([]string, error) {
	return call(f, ctx, "ParkedOrgs", func() ([]string, error) { return f.process.ParkedOrgs(ctx, start, n) })
}

func (f *faulty) Leased(ctx context.Context) ([]string, error) {
	return call(f, ctx, "Leased", func() ([]string, error) { return f.process.Leased(ctx) })
}

func (f *faulty) Requeue(ctx context.Context, entries []string) error {
	return calling(f, ctx, "Requeue", func() error { return f.process.Requeue(ctx, entries) })
}

func (f *faulty) Commit(ctx context.Context, steps []queue.Step) (queue.CommitResult, error) {
	return call(f, ctx, "Commit", func() (queue.CommitResult, error) { return f.process.Commit(ctx, steps) })
}

// mixed publishes events that end in every way: each organization is of one kind.
type mixed struct {
	*env
	endpoints *endpoints
	published int
}

var kindsOfOrgs = []string{"good", "failing", "second", "off", "invalid", "crowded"}

func newMixed(t *testing.T) *mixed {
	e := newEnv(t)
	m := &mixed{env: e, endpoints: newEndpoints()}
	for _, org := range kindsOfOrgs {
		e.webhook(org)
	}
	e.do("hset", "tenzo:webhook:off", "active", "0")
	m.endpoints.set("failing", fails)
	m.endpoints.set("second", func(ctx context.Context, r attempt.Request, nth int) attempt.Result {
		if nth == 1 {
			return fails(ctx, r, nth)
		}
		return ok
	})
	m.endpoints.set("crowded", func(ctx context.Context, r attempt.Request, nth int) attempt.Result {
		select {
		case <-time.After(30 * time.Millisecond):
			return ok
		case <-ctx.Done():
			return attempt.Result{Class: attempt.Other, Cancelled: true}
		}
	})
	return m
}

func (m *mixed) publishEach(n int) {
	m.t.Helper()
	for i := m.published; i < m.published+n; i++ {
		for _, org := range kindsOfOrgs {
			body := `{"noteId":"n"}`
			if org == "invalid" {
				body = `{"bad":1}`
			}
			ev := queue.Event{Name: "note.finalized", OrgID: org, ID: fmt.Sprint("e", i), Payload: []byte(body)}
			if _, err := m.q.Publish(context.Background(), ev); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	m.published += n
}

// deliver runs a dispatcher with a short backoff.
func (m *mixed) deliver(n sender, change func(*Options)) (*Dispatcher, func()) {
	return m.deliverOn(m.store, n, change)
}

func (m *mixed) deliverOn(st *store.Store, n sender, change func(*Options)) (*Dispatcher, func()) {
	m.t.Helper()
	return m.dispatchOn(st, n, func(o *Options) {
		o.RetryBackoff = []time.Duration{0, 50 * time.Millisecond, 100 * time.Millisecond}
		if change != nil {
			change(o)
		}
	})
}

// awaitEnd waits until every event has ended as it must.
func (m *mixed) awaitEnd(within time.Duration) {
	m.t.Helper()
	n := int64(m.published)
	m.books(within, queue.Books{Published: 6 * n, Delivered: 3 * n, Skipped: n, Dead: 2 * n})
}

// requestsAre checks that every event was sent as often as it must, and no organization's events
// were repeated more often than allowed.
func (m *mixed) requestsAre(repeats int) {
	m.t.Helper()
	for org, want := range map[string]int{"good": 1, "failing": 4, "second": 2, "off": 0, "invalid": 0, "crowded": 1} {
		more := 0
		for i := range m.published {
			c := m.endpoints.count(org, fmt.Sprint("e", i))
			if c < want {
				m.t.Errorf("event %d of %s was sent %d times, want %d", i, org, c, want)
			}
			more += c - want
		}
		if more > repeats {
			m.t.Errorf("%d requests of %s are repeats, want at most %d", more, org, repeats)
		}
	}
}

// isEmpty checks that a dispatcher without events has nothing left in memory.
func isEmpty(t *testing.T, d *Dispatcher) {
	t.Helper()
	harness.Eventually(t, 5*time.Second, func() error {
		d.mu.Lock()
		s := d.session
		d.mu.Unlock()
		_, bytes := s.scheduler.Room()
		if n, g := s.scheduler.Len(), testutil.ToFloat64(d.metrics.inFlight); n != 0 || g != 0 || bytes != d.options.MaxInFlightBytes {
			return fmt.Errorf("%d events and %d bytes in memory, the gauge says %v", n, d.options.MaxInFlightBytes-bytes, g)
		}
		return nil
	})
}

// Of each call of the dispatcher the first replies are lost, or the first requests do not arrive:
// no event is lost, counted twice or sent more often than without the fault.
func TestEachCallFails(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Register", "Renew", "Dequeue", "DequeueDue", "Unpark", "ParkedOrgs", "Leased", "Requeue", "Commit"} {
		for how, f := range map[string]fault{"unmet": unmet, "lost": lost} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				m := newMixed(t)
				var left atomic.Int32
				left.Store(3)
				m.wrap = func(p process) process {
					return &faulty{process: p, fault: func(call string) fault {
						if call == name && left.Add(-1) >= 0 {
							return f
						}
						if call == "Dequeue" && (name == "Leased" || name == "Requeue") && rand.IntN(2) == 0 {
							return lost // so that there is something to give back
						}
						return none
					}}
				}
				m.publishEach(20)
				d, _ := m.deliver(m.endpoints, nil)
				m.awaitEnd(30 * time.Second)
				m.requestsAre(0)
				isEmpty(t, d)
			})
		}
	}
}

// Any call may fail at any time.
func TestCallsFailAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := newMixed(t)
			var mu sync.Mutex
			r := rand.New(rand.NewPCG(seed, 0))
			var calm atomic.Bool
			m.wrap = func(p process) process {
				return &faulty{process: p, fault: func(call string) fault {
					mu.Lock()
					defer mu.Unlock()
					if calm.Load() || call == "Renew" || r.IntN(4) > 0 {
						return none
					}
					return []fault{unmet, lost}[r.IntN(2)]
				}}
			}
			d1, _ := m.deliver(m.endpoints, nil)
			d2, _ := m.deliverOn(m.open(m.redis.URL()), m.endpoints, func(o *Options) { o.MaxInFlight = 64 })
			for range 4 {
				m.publishEach(10)
				// So that events arrive in every state of the others.
				time.Sleep(300 * time.Millisecond)
			}
			m.awaitEnd(time.Minute)
			m.requestsAre(0)
			calm.Store(true)
			isEmpty(t, d1)
			isEmpty(t, d2)
		})
	}
}

// A process is killed with events in every state: another one ends them, and only what was under
// way when it died is sent again.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := newMixed(t)
			r := rand.New(rand.NewPCG(seed, 1))
			killed := make(chan struct{})
			calls := int64(10 + r.IntN(60))
			var n atomic.Int64
			var doomed *faulty
			m.wrap = func(p process) process {
				f := &faulty{process: p}
				f.fault = func(string) fault {
					if n.Add(1) == calls {
						f.frozen.Store(true)
						close(killed)
						return lost
					}
					return none
				}
				doomed = f
				return f
			}
			mortal := &mortalSender{sender: m.endpoints, killed: killed}
			_, stop := m.deliverOn(m.store, mortal, func(o *Options) { o.GracePeriod = 0 })
			m.wrap = nil
			m.publishEach(25)
			<-killed
			live, _ := m.deliverOn(m.open(m.redis.URL()), m.endpoints, nil)
			m.awaitEnd(40 * time.Second)
			m.requestsAre(int(mortal.underWay.Load()) + 64)
			isEmpty(t, live)
			doomed.frozen.Store(false)
			stop()
		})
	}
}

// mortalSender sends until its process is killed. Attempts that are under way then never end by
// themselves.
type mortalSender struct {
	sender
	killed   chan struct{}
	underWay atomic.Int64
}

func (s *mortalSender) Send(ctx context.Context, r attempt.Request) attempt.Result {
	select {
	case <-s.killed:
	default:
		s.underWay.Add(1)
		result := s.sender.Send(ctx, r)
		select {
		case <-s.killed:
		default:
			s.underWay.Add(-1)
			return result
		}
	}
	<-ctx.Done()
	return attempt.Result{Class: attempt.Other, Cancelled: true}
}

// The heartbeat alone fails for longer than a lease, with events in every state: the process begins
// no attempt without a lease, another recovers the work, and the first goes on under a new
// registration.
func TestLeaseLostAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := newMixed(t)
			var silent atomic.Bool
			m.wrap = func(p process) process {
				return &faulty{process: p, fault: func(call string) fault {
					if silent.Load() && (call == "Renew" || call == "Register") {
						return unmet
					}
					return none
				}}
			}
			d, _ := m.deliver(m.endpoints, nil)
			m.wrap = nil
			m.publishEach(15)
			time.Sleep(time.Duration(seed) * 200 * time.Millisecond) // one of several states
			silent.Store(true)
			live, _ := m.deliverOn(m.open(m.redis.URL()), m.endpoints, nil)
			for range 5 {
				m.publishEach(5)
				time.Sleep(2 * time.Second) // the fault itself: longer than a lease
			}
			silent.Store(false)
			m.awaitEnd(40 * time.Second)
			m.requestsAre(64)
			isEmpty(t, live)
			isEmpty(t, d)
		})
	}
}

// A shutdown comes while calls fail, with events in every state: it hands everything over, and
// nothing is sent twice.
func TestShutdownAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := newMixed(t)
			r := rand.New(rand.NewPCG(seed, 2))
			var mu sync.Mutex
			m.wrap = func(p process) process {
				return &faulty{process: p, fault: func(string) fault {
					mu.Lock()
					defer mu.Unlock()
					return []fault{none, none, none, none, unmet, lost}[r.IntN(6)]
				}}
			}
			for round := range 4 {
				m.publishEach(10)
				mu.Lock()
				after := time.Duration(r.IntN(600)) * time.Millisecond
				mu.Unlock()
				d, stop := m.deliver(m.endpoints, func(o *Options) { o.GracePeriod = 10 * time.Second })
				time.Sleep(after) // so that the shutdown comes in one of many states
				stop()
				if g := testutil.ToFloat64(d.metrics.inFlight); g != 0 {
					t.Errorf("round %d: the gauge of events in memory says %v", round, g)
				}
				if keys := m.raw.Keys(t.Context(), "{tenzo:events}:held:*").Val(); len(keys) > 0 {
					t.Errorf("round %d: events are still held: %v", round, keys)
				}
			}
			m.wrap = nil
			d, _ := m.deliver(m.endpoints, nil)
			m.awaitEnd(30 * time.Second)
			m.requestsAre(0)
			isEmpty(t, d)
		})
	}
}

// A fault that lasts longer than a shutdown may: the error says so, and another process recovers
// the work.
func TestShutdownWithoutRedis(t *testing.T) {
	t.Parallel()
	m := newMixed(t)
	var down atomic.Bool
	m.wrap = func(p process) process {
		return &faulty{process: p, fault: func(string) fault {
			if down.Load() {
				return unmet
			}
			return none
		}}
	}
	o := Defaults()
	o.GracePeriod = time.Second
	d, err := New(m.store, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	d.sender, d.projector = m.endpoints, passes{}
	register := d.newProcess
	d.newProcess = func() process { return m.wrap(register()) }
	m.endpoints.set("good", hangs(30*time.Second))
	m.publishEach(5)
	go d.Run(context.Background())
	await(t, func() bool { return m.endpoints.count("good", "e0") > 0 })
	down.Store(true)
	began := time.Now()
	if err := d.Shutdown(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("shutdown: %v", err)
	}
	if took := time.Since(began); took > time.Second+flushTime+releaseTime+2*time.Second {
		t.Errorf("the shutdown took %s", took)
	}
	m.endpoints.set("good", nil)
	m.wrap = nil
	live, _ := m.deliver(m.endpoints, nil)
	m.awaitEnd(30 * time.Second)
	m.requestsAre(64)
	isEmpty(t, live)
}
