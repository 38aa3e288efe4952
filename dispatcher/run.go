package dispatcher

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// maxErrorKept is how much of an attempt's error is recorded; endpoints have no say in it, but certificates do.
const maxErrorKept = 500

// run brings one event that has a slot as far as it gets without waiting for a later moment: delivered, skipped, dead, or due later.
// Each failed attempt is recorded before the next is made. The slot is free once the last attempt has ended, the memory once the last
// step is committed.
func (s *session) run(ctx context.Context, j *job) {
	for {
		w, ok := s.webhook(ctx, j)
		if !ok {
			s.abandon(j)
			return
		}
		if !w.Active {
			s.d.health.skipped(j)
			s.finish(j, queue.Step{Kind: queue.StepSkip}, outcomeSkipped)
			return
		}
		if j.body == nil {
			if err := s.project(j); err != nil {
				j.LastError = err.Detail
				s.bury(j, err.Reason)
				return
			}
		}
		r, delivery := s.attempt(ctx, j, w)
		switch {
		case r.Cancelled:
			s.abandon(j)
			return
		case r.Acknowledged:
			s.finish(j, queue.Step{Kind: queue.StepDeliver, Delivery: delivery}, outcomeDelivered)
			return
		case r.Blocked:
			j.LastError = delivery.Error
			s.finish(j, queue.Step{Kind: queue.StepDeadLetter, Reason: queue.ReasonBlocked, Delivery: delivery}, outcomeDead)
			return
		}
		j.Attempts++
		j.LastStatus, j.LastError = r.Status, delivery.Error
		if j.Attempts > len(s.d.options.RetryBackoff) {
			s.finish(j, queue.Step{Kind: queue.StepDeadLetter, Reason: queue.ReasonRetriesExhausted, Delivery: delivery}, outcomeDead)
			return
		}
		delay := s.d.options.RetryBackoff[j.Attempts-1]
		if delay > 0 || s.draining() || s.board.crowded(j) {
			s.later(j, delay, delivery)
			return
		}
		if !s.record(ctx, j, delivery) {
			s.abandon(j)
			return
		}
	}
}

// webhook waits until attempts may begin and the settings are known. ok is false where the event is to be abandoned.
func (s *session) webhook(ctx context.Context, j *job) (w config.Webhook, ok bool) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if !s.gate.pass(ctx, s.drain) {
			return w, false
		}
		w, err := s.d.webhooks.get(ctx, j.OrgID)
		if err == nil {
			return w, true
		}
		if errors.Is(err, errNoMarker) {
			s.gate.unmark()
		} else if ctx.Err() == nil {
			s.trouble(err)
		}
		if s.draining() || !sleep(ctx, pause) {
			return w, false
		}
	}
}

// project makes the public payload, and lets go of the published one.
func (s *session) project(j *job) *payload.Error {
	if j.Payload == nil && j.Size > 0 {
		return &payload.Error{Reason: payload.PayloadTooLarge, Detail: "the payload is larger than max_payload"}
	}
	body, err := s.d.projector.Project(nil, payload.Source{Event: j.Event, OrgID: j.OrgID, PublishedAt: j.PublishedAt, Payload: j.Payload})
	if err != nil {
		if refusal, ok := errors.AsType[*payload.Error](err); ok {
			return refusal
		}
		return &payload.Error{Reason: payload.InvalidPayload, Detail: "the payload cannot be read"}
	}
	j.body, j.Payload = body, nil
	return nil
}

// attempt makes one attempt.
func (s *session) attempt(ctx context.Context, j *job, w config.Webhook) (attempt.Result, *queue.Delivery) {
	backoff := s.d.options.RetryBackoff
	began := time.Now()
	s.board.begin(j, hostOf(w.URL))
	r := s.d.sender.Send(ctx, attempt.Request{
		Webhook: w, Event: j.Event, ID: j.ID, Body: j.body,
		NoReuse: j.Attempts > 0 && j.Attempts <= len(backoff) && backoff[j.Attempts-1] == 0,
	})
	if r.Cancelled {
		s.ended(j, false, false)
		return r, nil
	}
	m := s.d.metrics.of(j.Event)
	m.attempted(r)
	if r.Acknowledged && !j.PublishedAt.IsZero() {
		m.delay.Observe(max(0, time.Since(j.PublishedAt).Seconds()))
	}
	s.d.health.endpoint(s.ended(j, r.Acknowledged, r.ConnectFailed), j, r.Error)
	why := r.Error
	if len(why) > maxErrorKept {
		why = why[:maxErrorKept]
	}
	return r, &queue.Delivery{
		ID: j.ID, Event: j.Event, Attempt: j.Attempts + 1, Status: r.Status, Error: why, Duration: r.Duration, At: began,
	}
}

// ended notes how an attempt ended, and parks what waited in memory for an endpoint that is in good standing no more.
func (s *session) ended(j *job, acknowledged, connectFailed bool) standing {
	change, evicted := s.board.end(j, acknowledged, connectFailed)
	for _, waiting := range evicted {
		s.park(waiting)
	}
	return change
}

// finish frees the slot and commits the event's last step.
func (s *session) finish(j *job, step queue.Step, outcome string) {
	step.Event, j.body, j.Payload = &j.LeasedEvent, nil, nil
	s.free(j)
	if outcome == outcomeDead {
		s.d.health.dead(j, step.Reason)
	}
	s.committer.submit(step, func(held bool) {
		if held {
			s.d.metrics.of(j.Event).outcomes[outcome].Inc()
		}
		s.drop(j)
	})
}

func (s *session) bury(j *job, reason string) {
	s.finish(j, queue.Step{Kind: queue.StepDeadLetter, Reason: reason}, outcomeDead)
}

// later frees the slot and makes the event due after delay.
func (s *session) later(j *job, delay time.Duration, d *queue.Delivery) {
	s.free(j)
	s.committer.submit(queue.Step{Kind: queue.StepReschedule, Event: &j.LeasedEvent, Delay: delay, Delivery: d}, func(bool) {
		s.drop(j)
		s.dueIn(delay)
	})
}

// record commits a failed attempt and waits for it. It reports whether the event is still ours.
func (s *session) record(ctx context.Context, j *job, d *queue.Delivery) bool {
	recorded := make(chan bool, 1)
	s.committer.submit(queue.Step{Kind: queue.StepRecordFailure, Event: &j.LeasedEvent, Delivery: d}, func(held bool) { recorded <- held })
	select {
	case held := <-recorded:
		return held
	case <-ctx.Done():
		return false
	}
}

// abandon lets go of an event without a word to Redis: it is handed over with all the rest when the session ends, or is not ours.
func (s *session) abandon(j *job) {
	s.free(j)
	if !s.draining() {
		s.drop(j)
		s.dirty.Store(true) // if it is still held by us, the next look gives it back
	}
}

// hostOf is the host that attempts to a URL share with others; empty where the URL has none.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}
