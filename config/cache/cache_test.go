package cache

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ttl = time.Minute

var errDown = errors.New("connection refused")

// want fails where got is something else.
func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// fixture is a Cache of texts on a fake clock.
type fixture struct {
	*Cache[string, string]
	held  *timedMap[string, string]
	clock *fakeClock
}

func newFixture() *fixture {
	f := &fixture{held: &timedMap[string, string]{ttl: ttl, answers: map[string]stamped[string]{}}, clock: newFakeClock()}
	f.Cache = New(NewClock(f.clock.read), f.held)
	return f
}

// begin begins a read, which must not be there yet.
func (f *fixture) begin(t *testing.T, key string) *Call[string] {
	t.Helper()
	call, mine := f.BeginUnlessFresh(key)
	if !mine {
		t.Fatalf("%s: there is an answer or a read already", key)
	}
	return call
}

// fill reads key.
func (f *fixture) fill(t *testing.T, key, value string) {
	t.Helper()
	f.Finish(key, f.begin(t, key), value, nil)
}

// state is what a request for key finds: "fresh <value>", "read" where one can be joined, "suspect
// <value>" where it can be used only while there is no answer, or nothing.
func (f *fixture) state(key string) string {
	value, stamp, ttl, ok := f.held.Get(key)
	now := f.Now()
	switch {
	case ok && f.Fresh(stamp, now, ttl):
		return "fresh " + value
	case f.Joinable(key) != nil:
		return "read"
	case ok && f.StaleIfError(stamp, now, ttl):
		return "suspect " + value
	}
	return ""
}

// result is what those who wait for a read get; it must have ended.
func result(call *Call[string]) string {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	select {
	case <-call.done:
	default:
		return "nothing yet"
	}
	for {
		value, err := call.Wait(ctx)
		if errors.Is(err, context.Canceled) {
			continue // both were ready
		}
		if err != nil {
			return err.Error()
		}
		return value
	}
}

// Invariant 1.
func TestAgeCountsFromBeforeTheRead(t *testing.T) {
	f := newFixture()
	call := f.begin(t, "k")
	f.clock.pass(10 * time.Second) // so long the read takes
	f.Finish("k", call, "1", nil)
	f.clock.pass(50*time.Second - 1)
	want(t, "just below a minute", f.state("k"), "fresh 1")
	f.clock.pass(1)
	want(t, "after a minute", f.state("k"), "")
}

// Invariant 1: nothing but a read extends the time to live.
func TestNothingExtendsTheAge(t *testing.T) {
	f := newFixture()
	f.fill(t, "k", "1")
	f.clock.pass(59 * time.Second)
	f.Gap()
	for range 3 {
		f.Finish("k", f.begin(t, "k"), "", errDown)
	}
	want(t, "below a minute", f.state("k"), "suspect 1")
	f.clock.pass(time.Second)
	want(t, "after a minute", f.state("k"), "")
}

// Invariant 2.
func TestOneReadCanBeJoined(t *testing.T) {
	f := newFixture()
	call := f.begin(t, "k")
	for range 3 {
		other, mine := f.Begin("k")
		want(t, "mine", mine, false)
		want(t, "the same read", other, call)
	}
	want(t, "joinable", f.Joinable("k"), call)
	want(t, "of another key", f.Joinable("l") == nil, true)
	f.Finish("k", call, "1", nil)
	want(t, "joinable after the end", f.Joinable("k") == nil, true)
	want(t, "answer", result(call), "1")

	ended, mine := f.BeginUnlessFresh("k")
	want(t, "another read is begun", mine, false)
	want(t, "the fresh answer", result(ended), "1")
	if _, mine := f.Begin("k"); !mine {
		t.Error("a refresh of a fresh answer was not begun")
	}
}

// Invariant 3, and the same for a gap (invariant 4).
func TestPushWinsOverReadInFlight(t *testing.T) {
	for name, tt := range map[string]struct {
		interrupt func(f *fixture)
		after     string // what is held once the old answer came alone
	}{
		"push": {func(f *fixture) { f.Forget("k") }, ""},
		"gap":  {func(f *fixture) { f.Gap() }, "suspect old"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			early := f.begin(t, "k")
			tt.interrupt(f)
			want(t, "the read can be joined", f.Joinable("k") == nil, true)
			f.Finish("k", early, "old", nil)
			want(t, "answer of a request that waited since before", result(early), "old")
			want(t, "held after the old answer", f.state("k"), tt.after)
		})
		t.Run(name+", with a later read", func(t *testing.T) {
			f := newFixture()
			early := f.begin(t, "k")
			tt.interrupt(f)
			late := f.begin(t, "k")
			f.Finish("k", early, "old", nil)
			want(t, "after the old answer", f.state("k"), "read")
			want(t, "the later request waits", result(late), "nothing yet")
			f.Finish("k", late, "new", nil)
			want(t, "after the new answer", f.state("k"), "fresh new")
		})
		t.Run(name+", and the old answer arrives last", func(t *testing.T) {
			f := newFixture()
			early := f.begin(t, "k")
			tt.interrupt(f)
			late := f.begin(t, "k")
			f.Finish("k", late, "new", nil)
			f.Finish("k", early, "old", nil)
			want(t, "held", f.state("k"), "fresh new")
		})
	}
}

// Invariant 3: two pushes, and three reads that end in any order.
func TestPushesInARow(t *testing.T) {
	f := newFixture()
	first := f.begin(t, "k")
	f.Forget("k")
	second := f.begin(t, "k")
	f.Forget("k")
	third := f.begin(t, "k")
	f.Finish("k", second, "2", nil)
	f.Finish("k", first, "1", nil)
	want(t, "held", f.state("k"), "read")
	f.Finish("k", third, "3", nil)
	want(t, "held", f.state("k"), "fresh 3")
}

// Invariant 3: what was forgotten is not used without Redis either.
func TestForget(t *testing.T) {
	f := newFixture()
	f.fill(t, "k", "1")
	f.fill(t, "l", "2")
	want(t, "there was something", f.Forget("k"), true)
	want(t, "there was something", f.Forget("k"), false)
	f.Finish("k", f.begin(t, "k"), "", errDown)
	want(t, "without Redis", f.state("k"), "")
	want(t, "another key", f.state("l"), "fresh 2")
}

// Invariant 4.
func TestGap(t *testing.T) {
	f := newFixture()
	f.fill(t, "k", "1")
	generation := f.Generation()
	f.Gap()
	want(t, "generation", f.Generation(), generation+1)
	want(t, "after the gap", f.state("k"), "suspect 1")
	f.Finish("k", f.begin(t, "k"), "", errDown)
	want(t, "without Redis", f.state("k"), "suspect 1")
	f.fill(t, "k", "2")
	want(t, "after a read", f.state("k"), "fresh 2")
}

// Invariant 5.
func TestReadWithoutAnswer(t *testing.T) {
	f := newFixture()
	f.fill(t, "k", "1")
	call, _ := f.Begin("k")
	f.Finish("k", call, "nonsense", errDown)
	want(t, "answer", result(call), errDown.Error())
	want(t, "held", f.state("k"), "fresh 1")
}

func TestWaitEndsWithItsContext(t *testing.T) {
	f := newFixture()
	call := f.begin(t, "k")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := call.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	f.Finish("k", call, "1", nil)
	want(t, "answer", result(call), "1")
}

func TestExclusively(t *testing.T) {
	f := newFixture()
	call := f.begin(t, "k")
	finished := make(chan struct{})
	f.Exclusively(func() {
		go func() {
			f.Finish("k", call, "1", nil)
			close(finished)
		}()
		for i := range f.shards {
			if f.shards[i].mu.TryLock() {
				t.Errorf("shard %d can be changed", i)
			}
		}
	})
	<-finished
	want(t, "then", f.state("k"), "fresh 1")
}
