package browser

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// stored waits until the webhook of the organization satisfies want, which returns what is wrong.
func (s *site) stored(want func(webhook.Webhook, error) string) {
	s.t.Helper()
	harness.Eventually(s.t, uiTimeout, func() error {
		if wrong := want(s.Webhooks.Get(s.t.Context(), org)); wrong != "" {
			return fmt.Errorf("the webhook: %s", wrong)
		}
		return nil
	})
}

// A webhook is set up as documented. Its secret is visible until it is saved, and never again.
func TestConfigureWebhook(t *testing.T) {
	s := newSite(t, nil)
	b := newTab(t, 1280)
	b.grant()
	b.expect("422")
	b.open(s.URL + "/#webhooks")
	b.find("textbox", "Webhook URL")
	b.see("Inactive")
	b.see("203.0.113.7")
	b.see("2001:db8:7::/64")
	b.absent("button", "Delete configuration")
	b.state("webhook-new")

	b.click("button", "Save Configuration")
	b.see("Enter your webhook URL.")
	b.fill("textbox", "Webhook URL", "http://api.yourcompany.com/webhooks/tenzo")
	b.click("button", "Save Configuration")
	b.await("!document.querySelector('#url-error').hidden && document.activeElement.id === 'url'")
	if words := b.text("#url-error"); !strings.Contains(strings.ToLower(words), "https") {
		t.Errorf("an http URL is refused with %q", words)
	}
	b.state("webhook-error")

	b.fill("textbox", "Webhook URL", "https://api.yourcompany.com/webhooks/tenzo-interviews")
	b.click("button", "Generate")
	secret := eval[string](b, "document.querySelector('#secret').value")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(raw) != 32 || !strings.HasPrefix(secret, "whsec_") {
		t.Fatalf("Generate made %q: %v", secret, err)
	}
	b.see("Save your webhook secret securely")
	b.click("button", "Copy secret")
	b.see("Secret copied.")
	if got := eval[string](b, "navigator.clipboard.readText()"); got != secret {
		t.Errorf("the clipboard holds %q", got)
	}
	b.click("switch", "Enable webhook delivery")
	b.see("Active")
	b.see("Unsaved changes")
	b.state("webhook-filled")
	b.click("button", "Save Configuration")
	b.see("Configuration saved. Webhook delivery is active.")
	s.stored(func(w webhook.Webhook, err error) string {
		if err != nil || !w.Active || w.URL != "https://api.yourcompany.com/webhooks/tenzo-interviews" || w.Secret.Reveal() != secret {
			return fmt.Sprintf("%v %v %v", w.Active, w.URL, err)
		}
		return ""
	})
	b.gone("Unsaved changes")
	b.keyIsGone(secret)
	b.see("A secret is set.")
	b.state("webhook-saved")
	b.do(chromedp.Reload())
	b.see("A secret is set.")
	b.keyIsGone(secret)

	// Other changes keep the secret. Removing it takes effect when saved.
	b.click("switch", "Enable webhook delivery")
	b.see("Inactive")
	b.press(kb.Enter) // Enter in a form's field saves
	b.see("Configuration saved. Webhook delivery is inactive.")
	s.stored(func(w webhook.Webhook, err error) string {
		if err != nil || w.Active || w.Secret.Reveal() != secret {
			return fmt.Sprintf("active %v, secret kept %v, %v", w.Active, w.Secret.Reveal() == secret, err)
		}
		return ""
	})
	b.click("button", "Remove secret")
	b.see("The secret will be removed when you save.")
	b.click("button", "Keep secret")
	b.see("A secret is set.")
	b.click("button", "Remove secret")
	b.click("button", "Save Configuration")
	s.stored(func(w webhook.Webhook, err error) string {
		if err != nil || w.Secret.IsSet() {
			return fmt.Sprintf("the secret is set: %v, %v", w.Secret.IsSet(), err)
		}
		return ""
	})

	b.click("button", "Delete configuration")
	b.see("Delete the webhook configuration?")
	b.state("webhook-delete")
	b.click("button", "Cancel")
	b.await("!document.querySelector('dialog[open]')")
	b.click("button", "Delete configuration")
	b.click("button", "Delete webhook")
	b.see("Webhook configuration deleted.")
	b.absent("button", "Delete configuration")
	if _, err := s.Webhooks.Get(t.Context(), org); err != webhook.ErrNotFound {
		t.Errorf("the webhook is still there: %v", err)
	}
}

// A refresh does not overwrite unsaved input.
func TestUnsavedChangesStay(t *testing.T) {
	s := newSite(t, nil)
	s.webhook("https://one.example/hook", "", true)
	b := newTab(t, 1280)
	b.open(s.URL + "/#webhooks")
	b.await("document.querySelector('#url').value === 'https://one.example/hook'")
	b.fill("textbox", "Webhook URL", "https://two.example/hook")
	b.click("link", "API Keys")
	b.click("link", "Webhooks")
	b.see("Unsaved changes")
	if got := eval[string](b, "document.querySelector('#url').value"); got != "https://two.example/hook" {
		t.Errorf("the field holds %q", got)
	}
}

// Every outcome of a test event is explained in words.
func TestSendTestEvent(t *testing.T) {
	var (
		mu     sync.Mutex
		events []string
		result dispatcher.TestResult
		fail   error
	)
	answer := func(r dispatcher.TestResult, err error) {
		mu.Lock()
		defer mu.Unlock()
		result, fail = r, err
	}
	s := newSite(t, func(_ context.Context, o, event string) (dispatcher.TestResult, error) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, o+" "+event)
		return result, fail
	})
	s.webhook("https://one.example/hook", "", true)
	b := newTab(t, 1280)
	b.expect("/api/webhook/test")
	b.open(s.URL + "/#webhooks")
	b.find("combobox", "Event type")
	options := eval[[]string](b, "[...document.querySelectorAll('#event option')].map((o) => o.value)")
	if strings.Join(options, " ") != "interview.results note.finalized" {
		t.Errorf("the event types are %v", options)
	}
	answer(dispatcher.TestResult{Acknowledged: true, Status: 204, Duration: 61 * time.Millisecond}, nil)
	b.click("button", "Send test event")
	b.see("Acknowledged Your endpoint answered 204 in 61 ms.")
	b.state("test-acknowledged")
	answer(dispatcher.TestResult{Status: 500, Error: "answered 500 Internal Server Error", Duration: 1500 * time.Millisecond}, nil)
	eval[bool](b, "document.querySelector('#event').value = 'note.finalized', true")
	b.click("button", "Send test event")
	b.see("Not acknowledged Your endpoint answered 500 in 1.5 s. Only 200, 201, 202 and 204 acknowledge.")
	b.state("test-failed")
	answer(dispatcher.TestResult{Error: "the host does not exist", Duration: 9 * time.Millisecond}, nil)
	b.click("button", "Send test event")
	b.see("The host does not exist. It took 9 ms.")
	answer(dispatcher.TestResult{}, webhook.ErrNotFound)
	b.click("button", "Send test event")
	b.see("Save your webhook configuration first")
	mu.Lock()
	defer mu.Unlock()
	if len(events) != 4 || events[0] != org+" interview.results" || events[1] != org+" note.finalized" {
		t.Errorf("tested %v", events)
	}
}

// Recent deliveries and dead letters are listed, and dead letters can be redelivered.
func TestDeliveriesAndRedeliver(t *testing.T) {
	s := newSite(t, nil)
	s.seed()
	b := newTab(t, 1280)
	b.open(s.URL + "/#webhooks")
	b.see("No answer")
	b.see("The TLS certificate of hooks.acme.example has expired.")
	b.see("The URL’s address is not allowed")
	b.state("webhooks")
	b.window("webhooks-window")

	dead := func() int {
		page, err := s.Queue.DeadLetters(t.Context(), org, 100, "")
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Items)
	}
	s.webhook("https://hooks.acme.example/tenzo-interviews", "", false)
	b.click("button", "Redeliver")
	b.see("Webhook delivery is inactive. Enable it and save, then redeliver.")
	if n := dead(); n != 3 {
		t.Fatalf("%d dead events", n)
	}
	s.webhook("https://hooks.acme.example/tenzo-interviews", "", true)
	b.click("button", "Redeliver")
	b.see("Queued for redelivery.")
	b.await("document.querySelectorAll('#dead tbody tr').length === 2")
	if n := dead(); n != 2 {
		t.Fatalf("%d dead events", n)
	}
	b.click("button", "Redeliver all")
	b.see("2 events queued for redelivery.")
	b.see("No undelivered events.")
	if n := dead(); n != 0 {
		t.Fatalf("%d dead events", n)
	}
	b.state("webhooks-redelivered")

	// A new delivery appears by itself. A long log is not shown whole at first.
	s.deliver(queue.Delivery{ID: "note-fresh", Event: "note.finalized", Attempt: 1, Status: 200, Duration: time.Millisecond, At: time.Now()})
	b.see("note-fresh")
	for i := range 30 {
		s.deliver(queue.Delivery{ID: fmt.Sprintf("note-%d", i), Event: "note.finalized", Attempt: 1, Status: 200, Duration: time.Millisecond, At: time.Now()})
	}
	b.await("document.querySelectorAll('#deliveries tbody tr').length === 20")
	b.click("button", "Show more")
	b.await("document.querySelectorAll('#deliveries tbody tr').length === 36")
}

// Events that would fail again are neither offered for redelivery nor counted as such, and their
// reason is given in the customer's words. They stand above the deliveries, which need no action.
func TestPermanentlyFailedEvents(t *testing.T) {
	s := newSite(t, nil)
	s.webhook("https://hooks.acme.example/tenzo-interviews", "", true)
	for i := range 25 {
		s.deadLetter("note.finalized", fmt.Sprintf("note-%d", i), queue.ReasonRetriesExhausted, 4, 500, "the endpoint answered 500")
	}
	for reason, words := range map[string]string{
		"payload_too_large": "the payload is larger than max_payload", "unknown_event": "the event is neither documented nor listed in pass_event",
		"invalid_payload": "the payload has no noteId", "invalid_event": "org_id is missing",
	} {
		s.deadLetter("note.finalized", reason, reason, 0, 0, words)
	}
	b := newTab(t, 1280)
	b.open(s.URL + "/#webhooks")
	b.await("document.querySelectorAll('#dead tbody tr').length === 20")
	b.see("The event was too large It was not sent and cannot be redelivered.")
	shown := b.text("#view-webhooks")
	for _, operators := range []string{"max_payload", "pass_event", "noteId is", "org_id", "retries are spent"} {
		if strings.Contains(shown, operators) {
			t.Errorf("the page speaks of %s", operators)
		}
	}
	if got := eval[int](b, "document.querySelectorAll('#dead tbody .button').length"); got != 16 {
		t.Errorf("%d of 20 can be redelivered, not 16", got)
	}
	if !eval[bool](b, "document.querySelector('#dead').compareDocumentPosition(document.querySelector('#deliveries')) === Node.DOCUMENT_POSITION_FOLLOWING") {
		t.Error("the undelivered events stand below the deliveries")
	}
	b.state("webhooks-permanent")
	b.click("button", "Redeliver all") // all that can be redelivered, shown or not
	b.see("25 events queued for redelivery.")
	b.await("document.querySelectorAll('#dead tbody tr').length === 4")
	b.absent("button", "Redeliver all")
	b.absent("button", "Redeliver")
}
