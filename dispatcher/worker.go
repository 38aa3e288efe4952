package dispatcher

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/backoff"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
)

// worker makes at most one attempt of one event and returns the outcome. It changes nothing in
// Redis; it tells the scheduler when an attempt begins.
type worker struct {
	lease        *lease
	signals      *signals
	scheduler    *scheduler
	webhook      func(ctx context.Context, org string) (webhook.Webhook, error)
	projector    projector
	sender       sender
	retryBackoff []time.Duration
	draining     <-chan struct{}
}

// work returns what one turn of ev, which has a slot, came to.
func (w *worker) work(ctx context.Context, ev *event) outcome {
	hook, ok := w.awaitWebhook(ctx, ev.OrgID)
	if !ok {
		return outcome{kind: abandoned}
	}
	if !hook.Active {
		return skip(hook, time.Now())
	}
	if err := w.project(ev); err != nil {
		return outcome{kind: dead, reason: err.Reason, detail: err.Detail}
	}
	return decide(ev.Attempts, w.attempt(ctx, ev, hook), w.retryBackoff)
}

// awaitWebhook waits until attempts may begin and the organization's webhook is known. It reports
// false if the session ends first.
func (w *worker) awaitWebhook(ctx context.Context, org string) (webhook.Webhook, bool) {
	pause := backoff.New(50 * time.Millisecond)
	for {
		if !w.lease.await(ctx, w.draining) {
			return webhook.Webhook{}, false
		}
		hook, err := w.webhook(ctx, org)
		if err == nil {
			return hook, true
		}
		if errors.Is(err, errNoMarker) {
			w.lease.uninitialized()
		} else if ctx.Err() == nil {
			w.signals.replyLost(err)
		}
		if closed(w.draining) || !pause.Wait(ctx) {
			return webhook.Webhook{}, false
		}
	}
}

// project makes the public payload, and lets go of the published one.
func (w *worker) project(ev *event) *payload.Error {
	if ev.body != nil {
		return nil
	}
	if ev.Payload == nil && ev.Size > 0 {
		return &payload.Error{Reason: payload.PayloadTooLarge, Detail: "the payload is larger than max_payload"}
	}
	body, err := w.projector.Project(nil, payload.Source{
		Event: ev.Event, OrgID: ev.OrgID, PublishedAt: ev.PublishedAt, Payload: ev.Payload,
	})
	if err != nil {
		if refusal, ok := errors.AsType[*payload.Error](err); ok {
			return refusal
		}
		return &payload.Error{Reason: payload.InvalidPayload, Detail: "the payload cannot be read"}
	}
	ev.body, ev.Payload = body, nil
	return nil
}

// attempt makes one attempt.
func (w *worker) attempt(ctx context.Context, ev *event, hook webhook.Webhook) *attempted {
	retriesAtOnce := ev.Attempts > 0 && ev.Attempts <= len(w.retryBackoff) && w.retryBackoff[ev.Attempts-1] == 0
	began := time.Now()
	w.scheduler.attemptStarted(ev, hostOf(hook.URL))
	r := w.sender.Send(ctx, attempt.Request{
		Webhook: hook, Event: ev.Event, ID: ev.ID, Body: ev.body,
		NoReuse: retriesAtOnce, // the pooled connection may be what failed
	})
	return &attempted{Result: r, began: began}
}

// hostOf returns the host that attempts to a URL share with others, or "" if the URL has none.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Host
}
