package queue

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stand counts where unfinished entries stand.
type stand struct{ Held, Retry, Parked int64 }

func (e *env) stand(want stand) {
	e.t.Helper()
	var got stand
	for _, k := range e.raw.Keys(e.t.Context(), "{tenzo:events}:held:*").Val() {
		got.Held += e.raw.HLen(e.t.Context(), k).Val()
	}
	for _, k := range e.raw.Keys(e.t.Context(), "{tenzo:events}:parked:*").Val() {
		got.Parked += e.raw.ZCard(e.t.Context(), k).Val()
	}
	got.Retry = e.raw.ZCard(e.t.Context(), "{tenzo:events}:retry").Val()
	if d := cmp.Diff(want, got); d != "" {
		e.t.Errorf("entries stand (-want +got):\n%s", d)
	}
}

// consumers checks how many consumers stand in the group.
func (e *env) consumers(want int) {
	e.t.Helper()
	all, err := e.raw.XInfoConsumers(e.t.Context(), "tenzo:events", "dispatcher").Result()
	if err != nil || len(all) != want {
		e.t.Errorf("consumers: %+v, %v, want %d", all, err, want)
	}
}

// kill lets a process's lease lapse, as if it had died.
func (e *env) kill(p *Process) { e.do("del", "{tenzo:events}:lease:"+p.Name()) }

// Every step out of held: what it does, that repeating it does nothing, and that only the holder can make it.
func TestStepsAreGuarded(t *testing.T) {
	failed := func(ev *LeasedEvent) *LeasedEvent {
		ev.Attempts, ev.LastStatus, ev.LastError = 1, 503, "answered 503"
		return ev
	}
	for _, c := range []struct {
		name  string
		step  func(ev *LeasedEvent) Step
		stand stand
		books Books
		again bool // whether repeating finds the event still held
	}{
		{"deliver", func(ev *LeasedEvent) Step { return Step{Kind: StepDeliver, Event: ev} }, stand{}, Books{Published: 1, Delivered: 1}, false},
		{"skip", func(ev *LeasedEvent) Step { return Step{Kind: StepSkip, Event: ev} }, stand{}, Books{Published: 1, Skipped: 1}, false},
		{"bury", func(ev *LeasedEvent) Step { return Step{Kind: StepDeadLetter, Event: ev, Reason: "blocked"} }, stand{}, Books{Published: 1, Dead: 1}, false},
		{"record", func(ev *LeasedEvent) Step { return Step{Kind: StepRecordFailure, Event: failed(ev)} }, stand{Held: 1}, Books{Published: 1, Waiting: 1}, true},
		{"delay", func(ev *LeasedEvent) Step { return Step{Kind: StepReschedule, Event: failed(ev), Delay: time.Hour} }, stand{Retry: 1}, Books{Published: 1, Waiting: 1}, false},
		{"park", func(ev *LeasedEvent) Step { return Step{Kind: StepPark, Event: ev} }, stand{Parked: 1}, Books{Published: 1, Waiting: 1}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			on(t, func(t *testing.T, e *env) {
				e.publish("org", "x", `{}`)
				p, other := e.process(), e.process()
				b := e.take(p, 10)
				ev := &b.Events[0]
				if e.commit(other, c.step(ev))[0] {
					t.Error("another process made the step")
				}
				e.stand(stand{Held: 1})
				e.kill(p) // a lapsed lease alone takes nothing away
				if !e.commit(p, c.step(ev))[0] {
					t.Error("the step did nothing")
				}
				e.stand(c.stand)
				e.books(c.books)
				if got := e.commit(p, c.step(ev))[0]; got != c.again {
					t.Errorf("repeated: %v", got)
				}
				e.stand(c.stand)
				e.books(c.books)
			})
		})
	}
}

// What was taken over is its old holder's no more, whatever it tries.
func TestTakenOver(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		for i := range 5 {
			e.publish("org", fmt.Sprint(i), `{}`)
		}
		p, heir := e.process(), e.process()
		b := e.take(p, 10)
		if moved, _, err := heir.Recover(t.Context(), p.Name()); moved != 0 || err != nil {
			t.Errorf("took %d from the living, %v", moved, err)
		}
		e.kill(p)
		l := must[Lease](t)(heir.Renew(t.Context()))
		if d := cmp.Diff([]string{p.Name()}, l.Expired); d != "" {
			t.Error(d)
		}
		if moved, given, err := heir.Recover(t.Context(), p.Name()); moved != 5 || len(given) > 0 || err != nil {
			t.Errorf("took %d, gave up %v, %v", moved, given, err)
		}
		if moved, _, err := heir.Recover(t.Context(), p.Name()); moved != 0 || err != nil {
			t.Errorf("repeated: took %d, %v", moved, err)
		}
		e.stand(stand{Retry: 5})
		e.consumers(0)
		if _, err := p.Renew(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("the old holder renews: %v", err)
		}
		if _, err := p.Dequeue(t.Context(), 1, 1<<20); !errors.Is(err, ErrFenced) {
			t.Errorf("the old holder takes: %v", err)
		}
		if _, err := p.Commit(t.Context(), []Step{{Kind: StepDeliver, Event: &b.Events[0]}}); !errors.Is(err, ErrFenced) {
			t.Errorf("the old holder commits: %v", err)
		}
		if err := p.Release(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("the old holder releases: %v", err)
		}
		due := must[Batch](t)(heir.DequeueDue(t.Context(), 10, 64<<20))
		if len(due.Events) != 5 || due.NextDue >= 0 {
			t.Errorf("due: %d, next in %s", len(due.Events), due.NextDue)
		}
		e.books(Books{Published: 5, Waiting: 5})
	})
}

// Ten holders die: the event may be what kills them. A recorded attempt begins the row anew.
func TestCrashed(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		e.publish("org", "poison", `{"p":1}`)
		heir := e.process()
		die := func(n int, record bool) (given []string) {
			for range n {
				p := e.process()
				b := e.take(p, 10)
				if len(b.Events) == 0 {
					b = must[Batch](t)(p.DequeueDue(t.Context(), 10, 64<<20))
				}
				if len(b.Events) != 1 {
					t.Fatalf("took %d", len(b.Events))
				}
				if record {
					ev := b.Events[0]
					ev.Attempts, ev.LastStatus = 2, 500
					e.commit(p, Step{Kind: StepRecordFailure, Event: &ev})
				}
				e.kill(p)
				_, g, err := heir.Recover(t.Context(), p.Name())
				if err != nil {
					t.Fatal(err)
				}
				given = append(given, g...)
			}
			return given
		}
		if g := die(9, false); len(g) != 0 {
			t.Fatalf("given up after nine: %v", g)
		}
		if g := die(1, true); len(g) != 0 {
			t.Fatal("given up although an attempt was recorded")
		}
		if g := die(8, false); len(g) != 0 { // the recorder's own death was the first of this row
			t.Fatal("given up too early")
		}
		if g := die(1, false); len(g) != 1 || g[0] != "note.finalized" {
			t.Fatalf("not given up after ten: %v", g)
		}
		e.books(Books{Published: 1, Dead: 1})
		e.stand(stand{})
		d := must[[]DeadLetter](t)(e.dead("org"))[0]
		if d.Reason != "crashed" || d.Attempts != 2 || d.LastStatus != 500 || string(d.Payload) != `{"p":1}` {
			t.Errorf("%+v", d)
		}
	})
}

func (e *env) dead(org string) ([]DeadLetter, error) {
	p, err := e.q.DeadLetters(e.t.Context(), org, 100, "")
	return p.Items, err
}

// Parked events come back oldest first, for the organizations asked for, and what comes meanwhile goes behind them.
func TestParking(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		for i := range 4 {
			e.publish("full", fmt.Sprint(i), `{}`)
		}
		p := e.process()
		b := e.take(p, 10)
		var steps []Step
		for i := range b.Events {
			b.Events[i].FirstSeen = b.Events[i].FirstSeen.Add(time.Duration(i) * time.Second)
			steps = append(steps, Step{Kind: StepPark, Event: &b.Events[i]})
		}
		e.commit(p, steps...)
		e.publish("free", "a", `{}`)
		e.publish("full", "4", `{}`)
		b = e.take(p, 10)
		if len(b.Events) != 1 || b.Events[0].OrgID != "free" || len(b.Parked) != 1 || b.Parked[0] != "full" {
			t.Errorf("took %+v", b)
		}
		e.stand(stand{Held: 1, Parked: 5})
		if orgs := must[[]string](t)(p.ParkedOrgs(t.Context(), 0, 10)); len(orgs) != 1 {
			t.Errorf("parked organizations: %v", orgs)
		}
		tot := must[Totals](t)(e.q.Totals(t.Context()))
		if tot.Parked != 5 || tot.ParkedOrgs != 1 || tot.Waiting != 6 {
			t.Errorf("%+v", tot)
		}
		b = must[Batch](t)(p.Unpark(t.Context(), []Capacity{{"none", 5}, {"full", 2}}, 64<<20))
		if len(b.Events) != 2 || b.Events[0].ID != "4" && b.Events[0].ID != "0" || !cmp.Equal(b.Remaining, []int{0, 3}) {
			t.Errorf("unparked %+v", b)
		}
		b = must[Batch](t)(p.Unpark(t.Context(), []Capacity{{"full", 10}}, 64<<20))
		if len(b.Events) != 3 || !cmp.Equal(b.Remaining, []int{0}) {
			t.Errorf("unparked %+v", b)
		}
		if orgs := must[[]string](t)(p.ParkedOrgs(t.Context(), 0, 10)); len(orgs) != 0 {
			t.Errorf("parked organizations: %v", orgs)
		}
		e.stand(stand{Held: 6})
	})
}

// What a process hands over is due at once, with its count of attempts.
func TestRelease(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		for i := range 600 {
			e.publish("org", fmt.Sprint(i), `{}`)
		}
		p, other := e.process(), e.process()
		for range 3 {
			e.take(p, 256)
		}
		b := must[[]string](t)(p.Leased(t.Context()))
		if len(b) != 600 {
			t.Fatalf("holds %d", len(b))
		}
		if err := p.Requeue(t.Context(), b[:300]); err != nil {
			t.Fatal(err)
		}
		e.stand(stand{Held: 300, Retry: 300})
		if err := p.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.stand(stand{Retry: 600})
		if _, err := p.Renew(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("renewed after its end: %v", err)
		}
		e.consumers(0)
		due := must[Batch](t)(other.DequeueDue(t.Context(), 1000, 64<<20))
		if len(due.Events) != stepLimit || due.NextDue != 0 {
			t.Errorf("%d due, next in %s", len(due.Events), due.NextDue)
		}
	})
}

// A store without its marker is neither taken from nor written to.
func TestUnmarked(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		e.publish("org", "x", `{}`)
		p := e.process()
		e.take(p, 10)
		e.do("del", "tenzo:schema")
		if _, err := p.Dequeue(t.Context(), 10, 1<<30); !errors.Is(err, ErrNotInitialized) {
			t.Errorf("take: %v", err)
		}
		if _, err := p.DequeueDue(t.Context(), 10, 1<<30); !errors.Is(err, ErrNotInitialized) {
			t.Errorf("due: %v", err)
		}
		if l, err := p.Renew(t.Context()); err != nil || l.Initialized {
			t.Errorf("renew: %+v, %v", l, err)
		}
		if _, err := e.q.Publish(t.Context(), Event{Name: "note.finalized", OrgID: "org", Payload: []byte(`{}`)}); err == nil {
			t.Error("published")
		}
		e.do("flushall")
		if _, err := e.q.NewProcess().Register(t.Context()); !errors.Is(err, ErrNotInitialized) {
			t.Errorf("register: %v", err)
		}
		if _, err := e.q.Totals(t.Context()); err != nil {
			t.Error(err)
		}
		if n := e.raw.DBSize(t.Context()).Val(); n != 0 {
			t.Errorf("%d keys were written: %v", n, e.raw.Keys(t.Context(), "*").Val())
		}
	})
}
