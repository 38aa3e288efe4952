package dispatcher

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// TestResult is how a test attempt went.
type TestResult struct {
	Acknowledged bool
	Status       int    // 0 if no answer came
	Error        string // why it was not acknowledged, in words
	Duration     time.Duration

	Body  []byte         // what was sent
	Trace *attempt.Trace // what went over the wire, phase by phase; nil if nothing did
}

// Tester makes test attempts: one request each, in the delivery log, never retried, not in the
// books.
type Tester struct {
	webhooks *webhook.Service
	queue    *queue.Queue
	sender   *attempt.Sender
	events   []string
}

// NewTester returns a Tester that sends as a dispatcher with these options would. Close it.
func NewTester(st *store.Store, o Options) (*Tester, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	projector, err := o.projector()
	if err != nil {
		return nil, err
	}
	sender, err := o.sender()
	if err != nil {
		return nil, err
	}
	return &Tester{
		webhooks: webhook.NewService(st, o.policy()), queue: queue.New(st, o.queue()), sender: sender, events: projector.Events(),
	}, nil
}

// Test sends a sample of event to the webhook of org, active or not. An attempt that was made is
// never an error, however it ended. The errors are a *problem.Error or the store's.
func (t *Tester) Test(ctx context.Context, org, event string) (TestResult, error) {
	switch {
	case event == "":
		return TestResult{}, problem.Invalid("event", "missing_event", "name the event to send a sample of: "+strings.Join(t.events, ", "))
	case !slices.Contains(t.events, event):
		return TestResult{}, problem.Invalid("event", "unknown_event", "there is no such event; a webhook receives "+strings.Join(t.events, ", "))
	}
	w, err := t.webhooks.Get(ctx, org)
	if err != nil {
		return TestResult{}, err
	}
	began := time.Now()
	id := "test-" + t.queue.NewProcess().Name()
	body := payload.Sample(event, org)
	r := t.sender.Send(ctx, attempt.Request{Webhook: w, Event: event, ID: id, Body: body, NoReuse: true, Trace: true})
	if r.Cancelled {
		return TestResult{}, context.Cause(ctx)
	}
	// The answer does not depend on the log.
	_ = t.queue.LogAttempt(ctx, org, queue.Delivery{ID: id, Event: event, Status: r.Status, Error: r.Error, Duration: r.Duration, At: began})
	return TestResult{Acknowledged: r.Acknowledged, Status: r.Status, Error: r.Error, Duration: r.Duration, Body: body, Trace: r.Trace}, nil
}

// Close closes the pooled connections.
func (t *Tester) Close() { t.sender.Close() }
