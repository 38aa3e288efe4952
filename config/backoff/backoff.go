// Package backoff paces loops that try again after a failure.
//
// It is written here because the loops need the sequence of pauses and a wait that ends with a
// context, and nothing else. cenkalti/backoff has the sequence, but only with its own Retry does it
// wait, and that loop gives up after a time and hides which error was the last.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Max is the longest pause of the loops in this program: an outage that ends is noticed a second
// later at most.
const Max = time.Second

// Backoff is the pause between failures in a row. It starts at a first value, doubles with each
// failure and stops growing at Max. It belongs to one goroutine.
type Backoff struct {
	first, next time.Duration
	jitter      bool
}

// New returns a Backoff whose first pause is first.
func New(first time.Duration) *Backoff {
	return &Backoff{first: first, next: first}
}

// Jittered returns a Backoff whose pauses are half fixed and half random, for loops that many
// processes enter at the same moment.
func Jittered(first time.Duration) *Backoff {
	return &Backoff{first: first, next: first, jitter: true}
}

// Next returns the pause after one more failure.
func (b *Backoff) Next() time.Duration {
	pause := b.next
	b.next = min(2*b.next, Max)
	if b.jitter {
		pause = pause/2 + rand.N(pause/2)
	}
	return pause
}

// Reset makes the next pause the first again, after a success.
func (b *Backoff) Reset() { b.next = b.first }

// Wait waits for the next pause. It reports false if ctx ended first.
func (b *Backoff) Wait(ctx context.Context) bool { return Sleep(ctx, b.Next()) }

// Sleep waits for d. It reports false if ctx ended first.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
