package dispatcher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// Every outcome of an attempt, with every number of failed ones before it, has the step and the
// record that the table in outcome.go says. With the backoff of specification.md, section 6, an
// event has four attempts at most.
func TestOutcomes(t *testing.T) {
	const s = time.Second
	var (
		specified = []time.Duration{0, 2 * s, 4 * s}
		ack       = attempt.Result{Acknowledged: true, Status: 204}
		failed    = attempt.Result{Status: 500, Error: "answered 500"}
		refused   = attempt.Result{ConnectFailed: true, Error: "connection refused"}
		blocked   = attempt.Result{Class: attempt.Blocked, BlockedURL: true, Error: "not a public address"}
		// A name that resolved to such an address: it may resolve to another one the next time.
		blockedName = attempt.Result{Class: attempt.Blocked, ConnectFailed: true, Error: "not a public address"}
		cancelled   = attempt.Result{Cancelled: true}
	)
	for _, tt := range []struct {
		recorded int // failed attempts before this one
		result   attempt.Result
		backoff  []time.Duration

		kind     outcomeKind
		step     queue.StepKind
		reason   string
		delay    time.Duration
		attempts int // failed ones, as the step records them
		status   int
	}{
		{0, ack, specified, delivered, queue.StepDeliver, "", 0, 0, 0},
		{3, ack, specified, delivered, queue.StepDeliver, "", 0, 3, 0},
		{0, failed, specified, retryNow, queue.StepRecordFailure, "", 0, 1, 500},
		{1, failed, specified, retryLater, queue.StepReschedule, "", 2 * s, 2, 500},
		{2, failed, specified, retryLater, queue.StepReschedule, "", 4 * s, 3, 500},
		{3, failed, specified, dead, queue.StepDeadLetter, queue.ReasonRetriesExhausted, 0, 4, 500},
		// retry_backoff was shortened:
		{4, failed, specified, dead, queue.StepDeadLetter, queue.ReasonRetriesExhausted, 0, 5, 500},
		{0, refused, specified, retryNow, queue.StepRecordFailure, "", 0, 1, 0},
		{0, failed, nil, dead, queue.StepDeadLetter, queue.ReasonRetriesExhausted, 0, 1, 500},
		{0, failed, []time.Duration{5 * s}, retryLater, queue.StepReschedule, "", 5 * s, 1, 500},
		{0, blocked, specified, dead, queue.StepDeadLetter, queue.ReasonBlocked, 0, 0, 0},
		{2, blocked, specified, dead, queue.StepDeadLetter, queue.ReasonBlocked, 0, 2, 0},
		{0, blockedName, specified, retryNow, queue.StepRecordFailure, "", 0, 1, 0},
		{2, blockedName, specified, retryLater, queue.StepReschedule, "", 4 * s, 3, 0},
		{3, blockedName, specified, dead, queue.StepDeadLetter, queue.ReasonBlocked, 0, 4, 0},
		{0, cancelled, specified, abandoned, 0, "", 0, 0, 0},
		{3, cancelled, specified, abandoned, 0, "", 0, 3, 0},
	} {
		t.Run(fmt.Sprintf("%d recorded, then %+v", tt.recorded, tt.result), func(t *testing.T) {
			began := time.Now()
			ev := newEvent(queue.LeasedEvent{Entry: "1-0", OrgID: "a", ID: "x", Event: "e", Payload: []byte("{}"), Attempts: tt.recorded})
			ev.body = []byte("{}")
			o := decide(tt.recorded, &attempted{Result: tt.result, began: began}, tt.backoff)
			if o.kind != tt.kind || o.reason != tt.reason || o.delay != tt.delay {
				t.Fatalf("outcome %+v", o)
			}
			if o.kind == abandoned {
				return
			}
			step := o.step(ev)
			if step.Kind != tt.step || step.Reason != tt.reason || step.Delay != tt.delay || step.Event != &ev.LeasedEvent {
				t.Errorf("step %+v", step)
			}
			if ev.Attempts != tt.attempts || ev.LastStatus != tt.status || ev.LastError != tt.result.Error {
				t.Errorf("recorded %d attempts, status %d, %q", ev.Attempts, ev.LastStatus, ev.LastError)
			}
			want := queue.Delivery{
				ID: "x", Event: "e", Attempt: tt.recorded + 1, Status: tt.result.Status, Error: tt.result.Error, At: began,
			}
			if *step.Delivery != want {
				t.Errorf("delivery log %+v, want %+v", *step.Delivery, want)
			}
			if kept := ev.body != nil; kept != (tt.kind == retryNow) {
				t.Errorf("the body is kept: %v", kept)
			}
		})
	}
}

// What ends without an attempt has a step, and no entry in the delivery log.
func TestOutcomesWithoutAnAttempt(t *testing.T) {
	for _, tt := range []struct {
		outcome outcome
		step    queue.StepKind
		reason  string
		err     string
	}{
		{outcome{kind: skipped, detail: "why", unlogged: true}, queue.StepSkip, "", "why"},
		{outcome{kind: parked}, queue.StepPark, "", "before"},
		{outcome{kind: dead, reason: "invalid_payload", detail: "why"}, queue.StepDeadLetter, "invalid_payload", "why"},
		{outcome{kind: retryLater}, queue.StepReschedule, "", "before"},
	} {
		ev := newEvent(queue.LeasedEvent{Entry: "1-0", Payload: []byte("{}"), Attempts: 2, LastStatus: 500, LastError: "before"})
		step := tt.outcome.step(ev)
		if step.Kind != tt.step || step.Reason != tt.reason || step.Delivery != nil {
			t.Errorf("%+v: step %+v", tt.outcome, step)
		}
		if ev.Attempts != 2 || ev.LastStatus != 500 || ev.LastError != tt.err || ev.Payload != nil {
			t.Errorf("%+v: recorded %+v", tt.outcome, ev.LeasedEvent)
		}
	}
}

func TestRecordedErrorIsBounded(t *testing.T) {
	a := &attempted{Result: attempt.Result{Error: strings.Repeat("x", 600)}}
	ev := newEvent(queue.LeasedEvent{})
	step := decide(0, a, nil).step(ev)
	if len(step.Delivery.Error) != maxRecordedError || len(ev.LastError) != maxRecordedError {
		t.Errorf("%d and %d bytes", len(step.Delivery.Error), len(ev.LastError))
	}
}
