package keyauth

import (
	"sync"
	"sync/atomic"
	"time"
)

// This file tells how old something is, on clocks that lie each in its own way: the monotonic clock stands still while a machine is
// suspended, the wall clock can be set.
//
// Invariant 1 rests on it. An age is the greater one of two differences: that of the wall clock as it stands, and that of the age clock, which
// is the monotonic clock plus every forward step that the wall clock was seen to make against it. So a suspension counts (a forward step), a
// wall clock set back extends nothing (backward steps are not subtracted), and both together count too.

// instant is a moment on both clocks, in nanoseconds.
type instant struct {
	wall int64 // since the Unix epoch
	age  int64 // on the age clock, whose zero means nothing
}

// since is how old what happened at earlier is.
func (i instant) since(earlier instant) time.Duration {
	return time.Duration(max(i.wall-earlier.wall, i.age-earlier.age))
}

// stepTolerance is how far the wall clock may drift from the monotonic one before that is a step. It is above what a goroutine that is
// descheduled between reading the two makes of it, and bounds what a suspension can hide in.
const stepTolerance = int64(100 * time.Millisecond)

// clock reads both clocks. It is safe for concurrent use.
type clock struct {
	read func() (wall, mono int64)

	mu      sync.Mutex   // held while a step is taken in
	skew    atomic.Int64 // wall minus mono when last a step was seen
	stepped atomic.Int64 // the sum of all forward steps
}

func newClock(read func() (wall, mono int64)) *clock {
	if read == nil {
		start := time.Now()
		read = func() (int64, int64) {
			now := time.Now()
			return now.UnixNano(), int64(now.Sub(start))
		}
	}
	c := &clock{read: read}
	wall, mono := read()
	c.skew.Store(wall - mono)
	return c
}

// now reads the clocks. Whoever goes to sleep for long must have called it before, so Run does so every second.
func (c *clock) now() instant {
	wall, mono := c.read()
	if d := wall - mono - c.skew.Load(); d > stepTolerance || d < -stepTolerance {
		c.step(wall - mono)
	}
	return instant{wall: wall, age: mono + c.stepped.Load()}
}

// step takes in that wall minus mono has become skew. A caller that read the clocks before another's step may count it twice: what is held
// then looks older than it is, never younger.
func (c *clock) step(skew int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := skew - c.skew.Load(); d > 0 {
		c.stepped.Add(d)
	}
	c.skew.Store(skew)
}
