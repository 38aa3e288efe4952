// Package dispatcher delivers webhooks: it takes events from Redis, and posts each to its organization's endpoint until it is
// acknowledged or its retries are spent (contract section 6).
//
// What becomes of an event in Redis is package queue; what a request looks like is package attempt; what leaves is package payload.
// This package decides what is attempted when, so that nobody's endpoint delays another's.
package dispatcher

import (
	"context"
	"errors"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Dispatcher delivers the events of one store. Several, in one process or in many, share the work.
type Dispatcher struct {
	options Options
}

// New prepares a dispatcher over st; settings are kept fresh through follower, which its owner runs. Nothing is dialled before Run.
func New(st *store.Store, follower *changes.Follower, o Options) (*Dispatcher, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	return &Dispatcher{options: o}, nil
}

// Run delivers until Shutdown is called, or ctx is done, which is a Shutdown with the whole grace period. It returns once everything
// it started has ended and what it held is free for others.
func (d *Dispatcher) Run(ctx context.Context) { <-ctx.Done() }

// Shutdown reads nothing new, finishes what is in flight until the grace period or ctx is over, hands the rest over at once, and
// returns when Run is about to. The error says that Redis could not be told; then others take over within 15 s.
func (d *Dispatcher) Shutdown(ctx context.Context) error { return nil }

// Ready is what /readyz says of this dispatcher.
type Ready struct {
	OK       bool              // false before the first contact with a marked Redis and while shutting down
	Problems map[string]string // what is wrong now, by component, in words; nil where nothing is
}

// Ready reports whether the dispatcher does its work.
func (d *Dispatcher) Ready() Ready { return Ready{} }

// TestResult is how a test attempt went.
type TestResult struct {
	Acknowledged bool
	Status       int    // 0: no answer came
	Error        string // why it was not acknowledged, in words
	Duration     time.Duration
}

// Tester makes test attempts: one request each, in the delivery log, never retried, in no book.
type Tester struct{}

// NewTester returns a Tester that sends as a dispatcher with these options would.
func NewTester(st *store.Store, o Options) (*Tester, error) { return &Tester{}, o.Validate() }

// Test sends a sample of event to the webhook of org. An attempt that was made is never an error, however it ended; errors are
// *config.Error or the store's.
func (t *Tester) Test(ctx context.Context, org, event string) (TestResult, error) {
	return TestResult{}, errors.New("not built yet")
}
