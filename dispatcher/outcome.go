package dispatcher

import (
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// outcome is what a worker's turn of one event came to. It is a value: neither Redis nor the
// scheduler has changed yet. A leased event stands in `held:<process>` and leaves it by the one
// step of its outcome:
//
//	outcome     step               script              next place
//	delivered   StepDeliver        deliver.lua         none; its id stays taken for 24 h
//	skipped     StepSkip           deliver.lua         none; its id is free again
//	dead        StepDeadLetter     dead_letter.lua     the dead letters; its id is free again
//	retryNow    StepRecordFailure  record_failure.lua  held; the attempt is made again
//	retryLater  StepReschedule     record_failure.lua  retry
//	parked      StepPark           park.lua            parked:<org>
//	abandoned   -                  -                   held, until requeue.lua (reconcile),
//	                                                   release.lua (shutdown) or recover.lua
//	                                                   (another process) moves it to retry
//
// TestOutcomes goes through this table.
type outcome struct {
	kind    outcomeKind
	reason  string        // dead: the dead letter's reason
	detail  string        // dead or skipped without an attempt: why, in words
	delay   time.Duration // retryLater: the earliest moment of the next attempt
	charged bool          // the attempt counts as a failed one
	attempt *attempted    // nil if none was made

	decidedAt time.Time // skipped: when
	unlogged  bool      // skipped: not in the delivery log
}

type outcomeKind int

const (
	delivered  outcomeKind = iota // the endpoint acknowledged the event
	skipped                       // the organization has no active webhook
	dead                          // invalid payload, blocked URL, or the last retry failed
	retryNow                      // failed; the retry is due after 0 s, the event keeps its slot
	retryLater                    // failed; the retry is due later, the event gives up its slot
	parked                        // the endpoint has no room in memory
	abandoned                     // the session ends, or the event is not leased any more
)

// attempted is an attempt that was made.
type attempted struct {
	attempt.Result
	began time.Time
}

// decide returns the outcome of an attempt of an event with so many failed attempts recorded.
func decide(failed int, a *attempted, retryBackoff []time.Duration) outcome {
	switch {
	case a.Cancelled:
		return outcome{kind: abandoned, attempt: a}
	case a.Acknowledged:
		return outcome{kind: delivered, attempt: a}
	// A name that resolves to a blocked address is tried again: resolvers err, too.
	case a.BlockedURL:
		return outcome{kind: dead, reason: queue.ReasonBlocked, attempt: a}
	case failed >= len(retryBackoff):
		reason := queue.ReasonRetriesExhausted
		if a.Class == attempt.Blocked {
			reason = queue.ReasonBlocked
		}
		return outcome{kind: dead, reason: reason, charged: true, attempt: a}
	}
	o := outcome{kind: retryLater, delay: retryBackoff[failed], charged: true, attempt: a}
	if o.delay == 0 {
		o.kind = retryNow
	}
	return o
}

var stepKinds = map[outcomeKind]queue.StepKind{
	delivered: queue.StepDeliver, skipped: queue.StepSkip, dead: queue.StepDeadLetter,
	retryNow: queue.StepRecordFailure, retryLater: queue.StepReschedule, parked: queue.StepPark,
}

// step returns the step that commits the outcome of ev, after it has set in ev what the step
// records. abandoned has none.
func (o outcome) step(ev *event) queue.Step {
	s := queue.Step{Kind: stepKinds[o.kind], Event: &ev.LeasedEvent, Reason: o.reason, Delay: o.delay}
	if o.kind != retryNow {
		ev.body, ev.Payload = nil, nil
	}
	if o.detail != "" {
		ev.LastError = o.detail
	}
	if o.kind == skipped && !o.unlogged {
		s.Delivery = &queue.Delivery{ID: ev.ID, Event: ev.Event, Error: o.detail, At: o.decidedAt}
	}
	if a := o.attempt; a != nil {
		s.Delivery = &queue.Delivery{
			ID: ev.ID, Event: ev.Event, Attempt: ev.Attempts + 1, Status: a.Status, Error: recordedError(a.Error),
			Duration: a.Duration, At: a.began,
		}
		ev.LastError = s.Delivery.Error
		if o.charged {
			ev.Attempts++
			ev.LastStatus = a.Status
		}
	}
	return s
}

// maxRecordedError is how many bytes of an attempt's error are recorded. Endpoints have no say in
// it, but their certificates do.
const maxRecordedError = 500

func recordedError(s string) string {
	return s[:min(len(s), maxRecordedError)]
}
