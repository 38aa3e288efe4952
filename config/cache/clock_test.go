package cache

import (
	"sync/atomic"
	"testing"
	"time"
)

// fakeClock is a pair of clocks that only the test moves.
type fakeClock struct{ wall, mono atomic.Int64 }

func newFakeClock() *fakeClock {
	c := &fakeClock{}
	c.wall.Store(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *fakeClock) read() (wall, mono int64) { return c.wall.Load(), c.mono.Load() }

// pass lets time pass on both clocks.
func (c *fakeClock) pass(d time.Duration) {
	c.wall.Add(int64(d))
	c.mono.Add(int64(d))
}

// Invariant 1 on clocks that are set, stand still or both.
func TestAgeOnBothClocks(t *testing.T) {
	const second = int64(time.Second)
	for _, tt := range []struct {
		name string
		pass func(c *fakeClock, now func())
		want string
	}{
		{"just below a minute", func(c *fakeClock, _ func()) { c.pass(time.Minute - 1) }, "fresh 1"},
		{"a minute", func(c *fakeClock, _ func()) { c.pass(time.Minute) }, ""},
		{"suspended: the monotonic clock stands still", func(c *fakeClock, _ func()) { c.wall.Add(60 * second) }, ""},
		{"half of it suspended", func(c *fakeClock, _ func()) {
			c.pass(30 * time.Second)
			c.wall.Add(30 * second)
		}, ""},
		{"suspended twice", func(c *fakeClock, now func()) {
			c.wall.Add(30 * second)
			now()
			c.wall.Add(30 * second)
		}, ""},
		{"wall clock set back an hour", func(c *fakeClock, _ func()) {
			c.wall.Add(-3600 * second)
			c.pass(time.Minute)
		}, ""},
		{"wall clock set back an hour, just below a minute", func(c *fakeClock, _ func()) {
			c.wall.Add(-3600 * second)
			c.pass(time.Minute - 1)
		}, "fresh 1"},
		{"wall clock set back, then suspended", func(c *fakeClock, now func()) {
			c.wall.Add(-3600 * second)
			now() // somebody notices
			c.wall.Add(60 * second)
		}, ""},
		{"wall clock set forward", func(c *fakeClock, _ func()) { c.wall.Add(3600 * second) }, ""},
		{"wall clock a little ahead", func(c *fakeClock, _ func()) {
			c.pass(time.Minute - time.Millisecond)
			c.wall.Add(int64(time.Millisecond))
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture()
			f.fill(t, "k", "1")
			tt.pass(f.clock, func() { f.Now() })
			want(t, "then", f.state("k"), tt.want)
		})
	}
}

// Reading the two clocks far apart is not a step.
func TestClockIgnoresJitter(t *testing.T) {
	fake := newFakeClock()
	c := NewClock(fake.read)
	start := c.Now()
	for range 1000 {
		fake.wall.Add(int64(50 * time.Millisecond))
		c.Now()
		fake.wall.Add(-int64(50 * time.Millisecond))
		c.Now()
	}
	want(t, "age", c.Now().Since(start), 0)
}

func TestRealClock(t *testing.T) {
	c := NewClock(nil)
	start := c.Now()
	if wall := time.Unix(0, start.Wall); time.Since(wall).Abs() > time.Minute {
		t.Errorf("the wall clock shows %s", wall)
	}
	if d := c.Now().Since(start); d < 0 || d > time.Minute {
		t.Errorf("%s have passed", d)
	}
}
