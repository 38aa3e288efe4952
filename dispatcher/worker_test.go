package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// bench is a worker without Redis: its lease, its webhook and its endpoint are the test's.
type bench struct {
	*worker
	endpoints *endpoints
	draining  chan struct{}
	hook      webhook.Webhook
	err       error // of reading the webhook
}

func newBench() *bench {
	o := Defaults()
	signals := newSignals(newReporter(slog.New(slog.DiscardHandler)))
	b := &bench{endpoints: newEndpoints(), draining: make(chan struct{}), hook: webhook.Webhook{OrgID: "a", URL: "https://a.example/", Active: true}}
	b.worker = &worker{
		lease: newLease(func() {}), signals: signals, scheduler: newScheduler(o, NewMetrics(), signals),
		webhook:   func(context.Context, string) (webhook.Webhook, error) { return b.hook, b.err },
		projector: passes{}, sender: b.endpoints, retryBackoff: o.RetryBackoff, draining: b.draining,
	}
	return b
}

// leased is an event that has a slot.
func (b *bench) leased(recorded int, body string) *event {
	ev := newEvent(queue.LeasedEvent{
		Entry: "1-0", Event: "note.finalized", OrgID: "a", ID: "x", Payload: []byte(body), Size: len(body), Attempts: recorded,
	})
	b.scheduler.admit(ev)
	return ev
}

// What a worker makes of an event by the state of everything around it.
func TestWorkerOutcomes(t *testing.T) {
	for name, tt := range map[string]struct {
		prepare func(*bench)
		body    string
		kind    outcomeKind
		reason  string
		sent    int
	}{
		"acknowledged":          {kind: delivered, sent: 1},
		"failed":                {prepare: func(b *bench) { b.endpoints.set("a", fails) }, kind: retryNow, sent: 1},
		"no active webhook":     {prepare: func(b *bench) { b.hook.Active = false }, kind: skipped},
		"skipped before judged": {prepare: func(b *bench) { b.hook.Active = false }, body: `{"bad":1}`, kind: skipped},
		"invalid payload":       {body: `{"bad":1}`, kind: dead, reason: payload.InvalidPayload},
		"blocked": {prepare: func(b *bench) {
			b.endpoints.set("a", func(context.Context, attempt.Request, int) attempt.Result {
				return attempt.Result{BlockedURL: true, Class: attempt.Blocked}
			})
		}, kind: dead, reason: queue.ReasonBlocked, sent: 1},
		"the lease expires while draining": {prepare: func(b *bench) {
			b.lease.renew(time.Now().Add(-queue.LeaseTime), true)
			close(b.draining)
		}, kind: abandoned},
		"the marker vanishes while draining": {prepare: func(b *bench) {
			b.err = errNoMarker
			close(b.draining)
		}, kind: abandoned},
		"the webhook cannot be read while draining": {prepare: func(b *bench) {
			b.err = errors.New("down")
			close(b.draining)
		}, kind: abandoned},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				b.lease.renew(time.Now(), true)
				if tt.prepare != nil {
					tt.prepare(b)
				}
				if tt.body == "" {
					tt.body = `{"a":1}`
				}
				o := b.work(t.Context(), b.leased(0, tt.body))
				if o.kind != tt.kind || o.reason != tt.reason || (o.attempt != nil) != (tt.sent > 0) {
					t.Errorf("outcome %+v", o)
				}
				if n := b.endpoints.count("a", "x"); n != tt.sent {
					t.Errorf("%d requests, want %d", n, tt.sent)
				}
			})
		})
	}
}

// No attempt begins while the lease may have expired or the marker is missing; the next renewal
// lets it begin.
func TestNoAttemptWithoutALease(t *testing.T) {
	for name, lose := range map[string]func(*bench){
		"never renewed": func(*bench) {},
		"expired":       func(b *bench) { b.lease.renew(time.Now().Add(-queue.LeaseTime), true) },
		"no marker":     func(b *bench) { b.lease.renew(time.Now(), false) },
		"marker lost":   func(b *bench) { b.lease.renew(time.Now(), true); b.lease.uninitialized() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench()
				lose(b)
				ended := make(chan outcome, 1)
				go func() { ended <- b.work(t.Context(), b.leased(0, `{}`)) }()
				time.Sleep(time.Minute)
				synctest.Wait()
				if n := b.endpoints.count("a", "x"); n != 0 {
					t.Fatalf("%d requests without a lease", n)
				}
				b.lease.renew(time.Now(), true)
				if o := <-ended; o.kind != delivered {
					t.Errorf("outcome %+v", o)
				}
			})
		})
	}
}

// While the webhook cannot be read the event waits; a lease that expires meanwhile is checked again
// before the attempt.
func TestLeaseIsCheckedAfterTheWebhookWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.lease.renew(time.Now(), true)
		b.err = errors.New("down")
		ended := make(chan outcome, 1)
		go func() { ended <- b.work(t.Context(), b.leased(0, `{}`)) }()
		time.Sleep(2 * queue.LeaseTime)
		synctest.Wait()
		b.err = nil
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := b.endpoints.count("a", "x"); n != 0 {
			t.Fatalf("%d requests after the lease has expired", n)
		}
		b.lease.renew(time.Now(), true)
		if o := <-ended; o.kind != delivered {
			t.Errorf("outcome %+v", o)
		}
	})
}

// A payload above the limit is not in memory; it is dead without an attempt, unless it is skipped.
func TestPayloadAboveTheLimit(t *testing.T) {
	b := newBench()
	b.lease.renew(time.Now(), true)
	ev := b.leased(0, "")
	ev.Payload, ev.Size = nil, 2<<20
	if o := b.work(t.Context(), ev); o.kind != dead || o.reason != payload.PayloadTooLarge || o.attempt != nil {
		t.Errorf("outcome %+v", o)
	}
	b.hook.Active = false
	if o := b.work(t.Context(), ev); o.kind != skipped {
		t.Errorf("outcome %+v", o)
	}
}
