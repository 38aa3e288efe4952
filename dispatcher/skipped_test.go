package dispatcher

import (
	"fmt"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Each event that an inactive webhook skips is in the delivery log, and one a day without any
// webhook.
func TestSkippedEventsAreInTheDeliveryLog(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.do("hset", "tenzo:webhook:off", "url", "https://off.example/hook", "active", "0")
	e.do("hset", "tenzo:webhook:odd", "url", "https://odd.example/hook", "active", "perhaps")
	n := newEndpoints()
	e.dispatch(n, nil)
	e.publishMany(4, "off", "odd", "none")
	e.books(5*time.Second, queue.Books{Published: 12, Skipped: 12})
	for org, want := range map[string]struct {
		lines int
		why   string
	}{"off": {4, queue.SkippedInactive}, "odd": {4, queue.SkippedInactive}, "none": {1, queue.SkippedNoWebhook}} {
		harness.Eventually(t, 5*time.Second, func() error {
			p, err := e.q.Deliveries(t.Context(), org, 10, "")
			if err == nil && len(p.Items) != want.lines {
				err = fmt.Errorf("%d lines for %s, want %d", len(p.Items), org, want.lines)
			}
			return err
		})
		p, err := e.q.Deliveries(t.Context(), org, 10, "")
		if err != nil {
			t.Fatal(err)
		}
		ids := map[string]bool{}
		for _, d := range p.Items {
			ids[d.ID] = true
			if d.Attempt != 0 || d.Status != 0 || d.Error != want.why || d.Duration != 0 || d.Event != "note.finalized" || !d.Skipped() ||
				time.Since(d.At) > time.Minute {
				t.Errorf("%s: %+v", org, d)
			}
		}
		if len(ids) != want.lines {
			t.Errorf("%s: ids %v", org, ids)
		}
	}
	for _, org := range []string{"off", "odd", "none"} {
		if n.count(org, "e0") != 0 {
			t.Errorf("an event of %s was sent", org)
		}
	}
}

func TestSkippedLog(t *testing.T) {
	now := time.Now()
	l := &skippedLog{at: map[string]time.Time{}}
	none := func(at time.Time) outcome { return skip(webhook.Webhook{OrgID: "a"}, at) }
	inactive := skip(webhook.Webhook{OrgID: "a", URL: "https://a.example/"}, now)
	for range 2 {
		if !l.wants("a", inactive) {
			t.Error("an event that an inactive webhook skipped has no line")
		}
	}
	if !l.wants("a", none(now)) || l.wants("a", none(now.Add(noWebhookEvery-1))) || !l.wants("b", none(now)) {
		t.Error("without a webhook the first event has a line, and no other of that day")
	}
	if !l.wants("a", none(now.Add(noWebhookEvery))) {
		t.Error("there is no line on the next day")
	}
	for i := range 2 * noWebhookOrgs {
		l.wants(fmt.Sprint(i), none(now))
	}
	if len(l.at) > noWebhookOrgs {
		t.Errorf("%d organizations are remembered", len(l.at))
	}
}
