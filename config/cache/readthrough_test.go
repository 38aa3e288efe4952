package cache

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeSource is the Redis of a ReadThrough: the test sets its values and holds back its answers.
type fakeSource struct {
	mu     sync.Mutex
	values map[string]string
	err    error
	calls  [][]string // the keys of each read

	gate func() // where set, called within a read, after the answer was made up
}

func (s *fakeSource) set(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[key] = value
}

func (s *fakeSource) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *fakeSource) read(_ context.Context, keys []string) []Answer[string] {
	s.mu.Lock()
	answers := make([]Answer[string], len(keys))
	for i, key := range keys {
		answers[i] = Answer[string]{Value: s.values[key], Err: s.err}
	}
	s.calls = append(s.calls, slices.Clone(keys))
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		gate()
	}
	return answers
}

func newReadThrough() (*ReadThrough[string, string], *fakeSource) {
	s := &fakeSource{values: map[string]string{}}
	return NewReadThrough(ttl, s.read), s
}

func expect(t *testing.T, r *ReadThrough[string, string], key, value string) {
	t.Helper()
	if got, err := r.Get(t.Context(), key); err != nil || got != value {
		t.Errorf("%s: got %q, %v; want %q", key, got, err, value)
	}
}

func TestReadThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := newReadThrough()
		s.set("k", "1")
		expect(t, r, "k", "1")
		s.set("k", "2")
		time.Sleep(ttl - time.Second)
		expect(t, r, "k", "1")
		time.Sleep(time.Second)
		expect(t, r, "k", "2")
		s.set("k", "3")
		r.Forget("k")
		expect(t, r, "k", "3")
		s.set("k", "4")
		r.Gap()
		s.fail(errDown)
		expect(t, r, "k", "3") // no answer: the age alone decides
		s.fail(nil)
		expect(t, r, "k", "4")
		s.fail(errDown)
		r.Gap()
		time.Sleep(ttl)
		if _, err := r.Get(t.Context(), "k"); err != errDown {
			t.Errorf("used for longer than its time to live: %v", err)
		}
	})
}

func TestReadThroughIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := newReadThrough()
		s.set("k", "1")
		release := make(chan struct{})
		s.gate = func() { <-release }
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { expect(t, r, "k", "1") })
		}
		synctest.Wait()
		close(release)
		all.Wait()
		want(t, "reads", fmt.Sprint(s.calls), "[[k]]")
	})
}

func TestPrefetchReadsOnlyWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := newReadThrough()
		release := make(chan struct{})
		s.gate = func() { <-release }
		var all sync.WaitGroup
		all.Go(func() { expect(t, r, "in flight", "") })
		synctest.Wait()
		s.mu.Lock()
		s.gate = nil
		s.mu.Unlock()
		expect(t, r, "fresh", "")
		r.Prefetch(t.Context(), []string{"a", "fresh", "in flight", "b", "a"})
		r.Prefetch(t.Context(), []string{"a", "b"})
		expect(t, r, "a", "")
		close(release)
		all.Wait()
		want(t, "reads", fmt.Sprint(s.calls), "[[in flight] [fresh] [a b]]")
	})
}

// A read that panics leaves nobody waiting.
func TestReadThatPanics(t *testing.T) {
	r, s := newReadThrough()
	s.gate = func() { panic("at the disco") }
	func() {
		defer func() { _ = recover() }()
		_, _ = r.Get(t.Context(), "k")
	}()
	s.gate = nil
	expect(t, r, "k", "")
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newReadThrough()
		expect(t, r, "old", "")
		time.Sleep(ttl / 2)
		expect(t, r, "young", "")
		time.Sleep(ttl / 2)
		r.Sweep()
		_, _, _, old := r.held.Get("old")
		_, _, _, young := r.held.Get("young")
		want(t, "the old one is held", old, false)
		want(t, "the young one is held", young, true)
	})
}

// Values change and are pushed while many read them: no request that begins after a push has
// returned gets anything older.
func TestPushUnderContention(t *testing.T) {
	const keys, pushes, readers = 8, 2000, 4
	var current, pushed [keys]atomic.Int64
	var reads atomic.Int64
	r := NewReadThrough(ttl, func(_ context.Context, which []int) []Answer[int64] {
		answers := make([]Answer[int64], len(which))
		for i, key := range which {
			reads.Add(1)
			answers[i].Value = current[key].Load()
			if reads.Load()%7 == 0 {
				answers[i].Err = errDown
			}
		}
		return answers
	})
	stop := make(chan struct{})
	var reading sync.WaitGroup
	for n := range readers {
		reading.Go(func() {
			for i := n; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				key := i % keys
				if i%16 == 0 {
					r.Prefetch(t.Context(), []int{key, (key + 1) % keys})
				}
				least := pushed[key].Load()
				if got, err := r.Get(t.Context(), key); err == nil && got < least {
					t.Errorf("key %d: version %d, after %d was pushed", key, got, least)
				}
			}
		})
	}
	for i := 0; i < pushes || reads.Load() < pushes; i++ {
		key := i % keys
		version := current[key].Add(1)
		if i%100 == 0 {
			r.Gap()
		}
		r.Forget(key)
		pushed[key].Store(version)
	}
	close(stop)
	reading.Wait()
}
