package browser

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/devtools"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// An outage is reported in words, until it is over.
func TestListDuringOutage(t *testing.T) {
	s := newSite(t, nil)
	s.key("Production Integration", nil, 0, time.Time{})
	b := newTab(t, 1280)
	b.expect("503")
	release := make(chan struct{})
	s.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/api/") {
			<-release
		}
		next.ServeHTTP(w, r)
	})
	b.open(s.URL + "/")
	b.see("Loading…")
	b.state("keys-loading")
	close(release)
	b.rowShows("Production Integration", "Active")

	s.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/api/") {
			http.Error(w, "", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
	b.see("Not up to date: Something went wrong on the server.")
	b.rowShows("Production Integration", "Active") // a stale list is better than none
	b.state("keys-stale")
	b.do(chromedp.Reload())
	b.see("This could not be loaded")
	b.state("keys-failed")
	s.intercept(nil)
	b.click("button", "Try again")
	b.rowShows("Production Integration", "Active")
	b.gone("This could not be loaded")
}

// An ended session is reported as such, not as an outage. Scripts do not follow a redirect to a
// login page.
func TestSignedOut(t *testing.T) {
	s := newSite(t, nil)
	login := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})
	b := newTab(t, 1280)
	s.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/api/") {
			http.Redirect(w, r, login.URL()+"/", http.StatusFound)
			return
		}
		next.ServeHTTP(w, r)
	})
	b.open(s.URL + "/")
	b.see("You are not signed in any more")
	if n := login.Count(); n != 0 {
		t.Errorf("the page to sign in was asked for %d times", n)
	}
}

// If the site answers 403 or no longer names an organization, the message is for customers: in
// lists, in a page that was already open, and on changes.
func TestForbidden(t *testing.T) {
	s := newSite(t, nil)
	s.key("Production Integration", nil, 0, time.Time{})
	s.webhook("https://one.example/hook", "", true)
	s.deadLetter("note.finalized", "note-1", queue.ReasonRetriesExhausted, 4, 500, "")
	b := newTab(t, 1280)
	b.expect("403")
	const words = "You are not signed in any more, or may not do this. Reload the page and sign in again."
	b.open(s.URL + "/#webhooks")
	b.see("note-1")
	b.click("link", "API Keys")
	b.rowShows("Production Integration", "Active")
	b.pressRevoke("Production Integration")
	s.intercept(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { s.Handler.Serve(w, r, devtools.Caller{}) })
	b.click("button", "Revoke key")
	b.await("document.querySelector('#confirm-error').innerText === " + quote(words))
	b.click("button", "Cancel")
	b.see("Not up to date: " + words)
	b.click("button", "Generate New Key")
	b.fill("textbox", "Key name", "x")
	b.press(kb.Enter)
	b.await("document.querySelector('#generate-error').innerText === " + quote(words))
	b.click("button", "Cancel")
	b.click("link", "Webhooks")
	b.fill("textbox", "Webhook URL", "https://two.example/hook")
	b.click("button", "Save Configuration")
	b.await("document.querySelector('#form-error').innerText === " + quote(words))
	b.click("button", "Redeliver")
	b.await("document.querySelector('#toast').innerText === " + quote(words))
	b.click("button", "Send test event")
	b.await("document.querySelector('#test-result').innerText.includes(" + quote(words) + ")")
	b.gone("organization.")
}
