package browser

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// holdRequests holds back requests of a method below api/keys. It sends the path of each on began,
// and lets it continue once release receives a value.
func (s *site) holdRequests(method string) (began <-chan string, release chan<- bool) {
	s.t.Helper()
	announced, let := make(chan string), make(chan bool)
	s.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == method && strings.Contains(r.URL.Path, "/api/keys") {
			select {
			case announced <- r.URL.Path:
			case <-s.t.Context().Done():
			}
			select {
			case <-let:
			case <-s.t.Context().Done():
			}
		}
		next.ServeHTTP(w, r)
	})
	return announced, let
}

// tryToClose does everything that closes a dialog: Escape several times, Cancel, a click beside it,
// and going back in the history.
func (b *tab) tryToClose() {
	b.t.Helper()
	for range 3 {
		b.press(kb.Escape)
	}
	b.click("button", "Cancel")
	b.do(chromedp.MouseClickXY(5, 5))
	b.do(chromedp.NavigateBack())
	b.await("location.hash === '#webhooks'")
}

// pressRevoke presses Revoke in the row of a key.
func (b *tab) pressRevoke(name string) {
	b.t.Helper()
	b.rowShows(name, "Revoke")
	eval[bool](b, "[...document.querySelectorAll('#keys tbody tr')].find((r) => r.querySelector('.name').textContent === "+quote(name)+").querySelector('button.danger').click(), true")
	b.see("Revoke “" + name + "”?")
}

// A revocation in progress cannot be cancelled. The dialog stays open until the revocation is done,
// so that its message is always about this key.
func TestRevocationCannotBeInterrupted(t *testing.T) {
	s := newSite(t, nil)
	first, second := s.key("first", nil, 0, time.Time{}), s.key("second", nil, 0, time.Time{})
	began, release := s.holdRequests(http.MethodDelete)
	b := newTab(t, 1280)
	b.expect("503")
	b.open(s.URL + "/#webhooks")
	b.click("link", "API Keys")
	b.pressRevoke("second")
	b.click("button", "Revoke key")
	if path := <-began; !strings.HasSuffix(path, second.ID) {
		t.Fatal(path)
	}
	b.see("Revoking…")
	b.state("revoking")
	b.tryToClose()
	b.see("Revoke “second”?")
	b.do(chromedp.NavigateForward())
	release <- true
	b.see("Key “second” revoked.")
	b.await("!document.querySelector('dialog[open]')")
	b.rowShows("second", "Revoked")
	b.rowShows("first", "Active")

	// The next revocation asks again, can be cancelled, and shows an error inside the dialog.
	b.pressRevoke("first")
	b.press(kb.Escape)
	b.await("!document.querySelector('dialog[open]')")
	b.pressRevoke("first")
	s.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodDelete {
			http.Error(w, "", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(w, r)
	})
	b.click("button", "Revoke key")
	b.see("Something went wrong on the server.")
	b.gone("Revoking…")
	b.click("button", "Cancel")
	b.await("!document.querySelector('dialog[open]')")
	s.intercept(nil)
	b.pressRevoke("first")
	b.gone("Something went wrong on the server.")
	b.click("button", "Revoke key")
	b.see("Key “first” revoked.")
	harness.Eventually(t, uiTimeout, func() error {
		page, err := s.Keys.List(t.Context(), org, 10, "")
		if err != nil {
			return err
		}
		for _, k := range page.Items {
			if k.ID == first.ID && k.RevokedAt.IsZero() {
				return fmt.Errorf("the key is not revoked")
			}
		}
		return nil
	})
}

// A key that is being created is shown whatever the user does meanwhile, and never in another form.
func TestCreatedKeyIsAlwaysShown(t *testing.T) {
	s := newSite(t, nil)
	began, release := s.holdRequests(http.MethodPost)
	b := newTab(t, 1280)
	b.open(s.URL + "/#webhooks")
	b.click("link", "API Keys")
	b.click("button", "Generate New Key")
	b.fill("textbox", "Key name", "Slow")
	b.press(kb.Enter)
	<-began
	b.tryToClose()
	b.find("textbox", "Key name")
	release <- true
	b.find("button", "Copy")
	key := b.text("#generated-key")
	b.do(chromedp.NavigateForward())
	b.await("location.hash === '#api-keys'")
	b.press(kb.Escape)
	if got := b.text("#generated-key"); got != key || !strings.HasPrefix(key, "tenzo_pk_") {
		t.Errorf("the dialog shows %q, and before %q", got, key)
	}
	b.click("button", "Done")
	b.rowShows("Slow", "Active")
	b.keyIsGone(key)

	// If the dialog is closed by something else, as when the browser restores the page, the form is
	// not offered again before the key was shown.
	b.click("button", "Generate New Key")
	b.fill("textbox", "Key name", "Left")
	b.press(kb.Enter)
	<-began
	eval[bool](b, "document.querySelector('#generate-dialog').close(), true")
	b.await("!document.querySelector('dialog[open]')")
	release <- true
	b.find("button", "Copy")
	b.see("Left")
	if got := b.text("#generated-key"); !strings.HasPrefix(got, "tenzo_pk_") || got == key {
		t.Errorf("the dialog shows %q", got)
	}
}

// An error about a key's name or expiry date says what to change, and disappears when the field is
// changed.
func TestKeyFormErrors(t *testing.T) {
	s := newSite(t, nil)
	b := newTab(t, 1280)
	b.expect("422")
	b.open(s.URL + "/")
	b.click("button", "Generate New Key")
	submit := func() {
		t.Helper()
		eval[bool](b, "document.querySelector('#generate-form').requestSubmit(), true")
	}
	for name, words := range map[string]string{
		"👩\u200d💻 dev":           "The character after “👩” is a zero-width joiner (U+200D), which a name cannot hold. Choose an emoji that is not joined",
		"می\u200cخواهم":          "The character after “می” is a zero-width non-joiner (U+200C), which a name cannot hold. Use an ordinary space",
		"a\u00a0b":               "The character after “a” is a no-break space (U+00A0)",
		"\u200eleft":             "The character at the beginning is a left-to-right mark (U+200E), which a name cannot hold. Leave it out.",
		"x\ue000":                "The character after “x” is not a visible one (U+E000)",
		strings.Repeat("🔑", 101): "A name has at most 100 characters; this one has 101.",
		strings.Repeat("n", 130): "A name has at most 100 characters; this one has 130.",
		"  ":                     "Give your key a name.",
	} {
		b.fill("textbox", "Key name", name)
		submit()
		b.see(words)
		if focused := eval[string](b, "document.activeElement.id"); focused != "key-name" {
			t.Errorf("%q: the focus is on %q", name, focused)
		}
	}
	b.state("key-dialog-name")
	b.fill("textbox", "Key name", "Fine")
	b.await("document.querySelector('#key-name-error').hidden && !document.querySelector('#key-name').hasAttribute('aria-invalid')")

	for day, words := range map[string]string{
		"12345-01-01": "Choose an earlier day, or leave the date empty",
		"9999-12-31":  "Choose an earlier day, or leave the date empty",
		"2020-02-02":  "Choose today or a later day.",
	} {
		b.setDate("#key-expires", day)
		submit()
		b.see(words)
		b.setDate("#key-expires", "")
		b.await("document.querySelector('#key-expires-error').hidden")
	}

	// Errors that only the API detects have a text of the page, too.
	s.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = fmt.Fprintf(w, `{"status": 422, "code": "invalid", "detail": "raw words of the API", "field": %q}`, r.Header.Get("X-Field"))
	})
	for field, words := range map[string]string{"name": "A name cannot hold one of these characters.", "expires_at": "This day cannot be chosen"} {
		eval[bool](b, `(() => { const real = window.realFetch ??= window.fetch; window.fetch = (u, o) => real(u, {...o, headers: {...o.headers, 'X-Field': `+quote(field)+`}}); return true })()`)
		submit()
		b.see(words)
		b.gone("aw words of the API")
	}
	s.intercept(nil)

	longest := strings.Repeat("🔑", 100)
	b.setDate("#key-expires", "9999-12-30")
	b.fill("textbox", "Key name", longest)
	submit()
	b.find("button", "Copy")
	b.click("button", "Done")
	b.rowShows(longest, "until")
	page, err := s.Keys.List(t.Context(), org, 10, "")
	if err != nil || len(page.Items) != 1 || page.Items[0].Name != longest {
		t.Errorf("%v, %v", page.Items, err)
	}
}
