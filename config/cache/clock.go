package cache

// This file measures the age of an answer on two clocks, neither of which can be trusted alone: the
// monotonic clock stands still while a machine is suspended, and the wall clock can be set.
//
// Invariant 1 rests on it. The age is the greater of two differences: that of the wall clock, and
// that of the age clock, which is the monotonic clock plus every forward step that the wall clock
// made against it. So a suspension counts, since it is a forward step; a wall clock that is set
// back extends nothing, since backward steps are not subtracted; and both in turn count too.

import (
	"sync"
	"sync/atomic"
	"time"
)

// Instant is a moment on both clocks, in nanoseconds.
type Instant struct {
	Wall int64 // since the Unix epoch
	Age  int64 // on the age clock, whose zero has no meaning
}

// Since returns the time that has passed since earlier.
func (i Instant) Since(earlier Instant) time.Duration {
	return time.Duration(max(i.Wall-earlier.Wall, i.Age-earlier.Age))
}

// stepTolerance is how far the wall clock may drift from the monotonic clock before the difference
// counts as a step. It is larger than the error of a goroutine that is descheduled between reading
// the two clocks. A suspension shorter than this can go unnoticed.
const stepTolerance = int64(100 * time.Millisecond)

// Clock reads both clocks. It is safe for concurrent use.
type Clock struct {
	read func() (wall, mono int64)

	mu      sync.Mutex   // held while a step is recorded
	skew    atomic.Int64 // wall minus mono at the last step
	stepped atomic.Int64 // the sum of all forward steps
}

// NewClock returns the clock of this process. For tests, read replaces its two clocks; it is nil
// otherwise.
func NewClock(read func() (wall, mono int64)) *Clock {
	if read == nil {
		start := time.Now()
		read = func() (int64, int64) {
			now := time.Now()
			return now.UnixNano(), int64(now.Sub(start))
		}
	}
	c := &Clock{read: read}
	wall, mono := read()
	c.skew.Store(wall - mono)
	return c
}

// Now reads the clocks. A backward step followed by a suspension is noticed only if Now was called
// between the two, so the owner of a clock calls it about every second.
func (c *Clock) Now() Instant {
	wall, mono := c.read()
	if d := wall - mono - c.skew.Load(); d > stepTolerance || d < -stepTolerance {
		c.step(wall - mono)
	}
	return Instant{Wall: wall, Age: mono + c.stepped.Load()}
}

// step records that wall minus mono has become skew. A caller that read the clocks before another
// caller's step may count that step twice: answers then look older than they are, never younger.
func (c *Clock) step(skew int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := skew - c.skew.Load(); d > 0 {
		c.stepped.Add(d)
	}
	c.skew.Store(skew)
}
