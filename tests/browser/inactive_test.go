package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// While the webhook is inactive, the page says so: a banner counts the skipped events, the delivery
// log lists them, and the result of a test mentions it.
func TestInactiveWebhook(t *testing.T) {
	s := newSite(t, func(context.Context, string, string) (dispatcher.TestResult, error) {
		return dispatcher.TestResult{Acknowledged: true, Status: 204, Duration: 61 * time.Millisecond}, nil
	})
	s.webhook("https://one.example/hook", "", false)
	b := newTab(t, 1280)
	b.open(s.URL + "/#webhooks")
	b.see("Webhook delivery is inactive. Events are skipped. Enable it and save to receive events.")
	b.click("button", "Send test event")
	b.see("Acknowledged, but delivery is inactive Your endpoint answered 204 in 61 ms. Events are skipped until you enable webhook delivery and save.")

	now := time.Now()
	skip := func(id string, ago time.Duration) {
		s.deliver(queue.Delivery{ID: id, Event: "note.finalized", Error: "skipped: the webhook is inactive", At: now.Add(-ago)})
	}
	skip("note-before", 3*time.Hour)
	s.deliver(queue.Delivery{ID: "note-0", Event: "note.finalized", Attempt: 1, Status: 200, Duration: time.Millisecond, At: now.Add(-2 * time.Hour)})
	skip("note-1", time.Hour)
	s.deliver(queue.Delivery{ID: "test", Event: "note.finalized", Status: 204, Duration: time.Millisecond, At: now.Add(-30 * time.Minute)})
	skip("note-2", 10*time.Minute)
	b.see("Webhook delivery is inactive. 2 events skipped since")
	if at := eval[string](b, "document.querySelector('#inactive time').dateTime"); at != now.Add(-time.Hour).UTC().Format("2006-01-02T15:04:05.000Z") {
		t.Errorf("skipped since %s", at)
	}
	row := collapseSpaces(eval[string](b, "[...document.querySelectorAll('#deliveries tbody tr')].find((r) => r.textContent.includes('note-2')).innerText"))
	if !strings.Contains(row, "Skipped") || !strings.Contains(row, "The webhook is inactive.") || strings.Contains(row, "Test") || strings.Contains(row, "No answer") || strings.Contains(row, " ms") {
		t.Errorf("a skipped event is shown as %q", row)
	}
	b.state("webhook-inactive")

	for i := range 30 {
		skip(fmt.Sprintf("more-%d", i), 0)
	}
	b.see("20 or more events skipped since")

	b.click("switch", "Enable webhook delivery")
	b.click("button", "Save Configuration")
	b.gone("Webhook delivery is inactive. 20")
	b.click("button", "Send test event")
	b.see("Acknowledged Your endpoint answered 204 in 61 ms.")
}

// The browser asks before the page with unsaved changes is left, and only then.
func TestLeavingWithUnsavedChanges(t *testing.T) {
	s := newSite(t, nil)
	s.webhook("https://one.example/hook", "", true)
	b := newTab(t, 1280)
	asked := make(chan page.DialogType, 10)
	err := chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*page.EventJavascriptDialogOpening); ok {
			asked <- e.Type
			go func() {
				_, _ = call(b, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
			}()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b.open(s.URL + "/#webhooks")
	b.await("document.querySelector('#url').value !== ''")
	b.click("tab", "Node") // browsers ask only on pages that were used
	b.do(chromedp.Reload())
	b.await("document.querySelector('#url').value !== ''")
	if len(asked) != 0 {
		t.Error("asked though nothing was changed")
	}
	b.fill("textbox", "Webhook URL", "https://two.example/hook")
	b.do(chromedp.Reload())
	b.await("document.querySelector('#url').value === 'https://one.example/hook'")
	if len(asked) != 1 || <-asked != page.DialogTypeBeforeunload {
		t.Error("not asked before unsaved changes were lost")
	}
}

// Tables name the time zone once.
func TestTimeZoneIsNamed(t *testing.T) {
	s := newSite(t, nil)
	s.seed()
	b := newTab(t, 1280)
	b.open(s.URL + "/")
	b.see("Created (Europe/Berlin)")
	b.open(s.URL + "/#webhooks")
	b.see("Time (Europe/Berlin)")
	b.see("Given up (Europe/Berlin)")
	for _, table := range []string{"keys", "deliveries", "dead"} {
		if n := eval[int](b, "document.querySelectorAll('#"+table+" .zone').length"); n != 1 {
			t.Errorf("#%s names the zone %d times", table, n)
		}
	}
}
