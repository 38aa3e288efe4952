package browser

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// row returns the text of a key's row.
func (b *tab) row(name string) string {
	b.t.Helper()
	return collapseSpaces(eval[string](b, "[...document.querySelectorAll('#keys tbody tr')].find((r) => r.querySelector('.name').textContent === "+quote(name)+")?.innerText ?? ''"))
}

// rowShows waits until the row of a key contains a text.
func (b *tab) rowShows(name, text string) {
	b.t.Helper()
	harness.Eventually(b.t, uiTimeout, func() error {
		if row := b.row(name); !strings.Contains(row, text) {
			return fmt.Errorf("the row of %q does not show %q but %q", name, text, row)
		}
		return nil
	})
}

// grant allows pages to use the clipboard.
func (b *tab) grant() {
	b.t.Helper()
	for _, name := range []string{"clipboard-read", "clipboard-write"} {
		if _, err := chromedp.CallBrowser(b.ctx, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
			Permission: &cdpbrowser.PermissionDescriptor{Name: name}, Setting: cdpbrowser.PermissionSettingGranted,
			BrowserContextID: chromedp.FromContext(b.ctx).BrowserContextID,
		}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// A key is created as documented, shown once, and cannot be shown again.
func TestGenerateKey(t *testing.T) {
	s := newSite(t, nil)
	b := newTab(t, 1280)
	b.grant()
	b.open(s.URL + "/")
	b.see("No API keys yet")
	b.state("keys-empty")

	b.click("button", "Generate New Key")
	b.find("textbox", "Key name")
	b.state("key-dialog")
	b.see("until 23:59:59 of that day in your time zone (Europe/Berlin)")

	b.click("button", "Generate key")
	b.see("Give your key a name.")
	if focused := eval[string](b, "document.activeElement.id"); focused != "key-name" {
		t.Errorf("the focus is on %q, not on the field at fault", focused)
	}
	b.fill("textbox", "Key name", "Production Integration")
	b.setDate("#key-expires", "2020-01-01")
	b.click("button", "Generate key")
	b.see("Choose today or a later day.")
	b.state("key-dialog-error")

	tomorrow := time.Now().AddDate(0, 0, 1)
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	b.setDate("#key-expires", tomorrow.In(zone).Format("2006-01-02"))
	b.click("button", "Generate key")
	b.find("button", "Copy")
	b.see("Your API key will only be displayed once.")
	key := b.text("#generated-key")
	if !regexp.MustCompile(`^tenzo_pk_[A-Za-z0-9_-]{40,}$`).MatchString(key) {
		t.Fatalf("the page shows %q", key)
	}
	b.state("key-shown")
	b.press(kb.Escape)
	if b.text("#generated-key") != key {
		t.Error("Escape lost the key")
	}
	b.click("button", "Copy")
	b.see("Copied. Store it in a secure location.")
	if got := eval[string](b, "navigator.clipboard.readText()"); got != key {
		t.Errorf("the clipboard holds %q, not the key", got)
	}
	b.click("button", "Done")
	b.await("!document.querySelector('dialog[open]')")
	b.rowShows("Production Integration", "Expires soon")
	b.keyIsGone(key)

	page, err := s.Keys.List(t.Context(), org, 10, "")
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%d keys, %v", len(page.Items), err)
	}
	want := time.Date(tomorrow.In(zone).Year(), tomorrow.In(zone).Month(), tomorrow.In(zone).Day(), 23, 59, 59, 0, zone)
	if got := page.Items[0].ExpiresAt; !got.Equal(want) {
		t.Errorf("it expires at %v, not at %v", got, want)
	}

	b.do(chromedp.Reload())
	b.rowShows("Production Integration", "Expires soon")
	b.keyIsGone(key)
	b.click("link", "Webhooks")
	b.see("No deliveries yet")
	b.do(chromedp.NavigateBack())
	b.rowShows("Production Integration", "Expires soon")
	b.keyIsGone(key)
	b.click("button", "Generate New Key")
	b.find("textbox", "Key name")
	b.keyIsGone(key)
}

// keyIsGone checks that neither scripts nor the user can get at the key on the page.
func (b *tab) keyIsGone(key string) {
	b.t.Helper()
	held := eval[string](b, `[document.documentElement.outerHTML, JSON.stringify(history.state), location.href, JSON.stringify(localStorage), JSON.stringify(sessionStorage),
		...[...document.querySelectorAll('input')].map((i) => i.value)].join(' ')`)
	if strings.Contains(held, key) {
		b.t.Error("the key still stands in the page")
	}
}

// Leaving the page while the key is shown clears it, because the browser may keep whole pages for
// its back button.
func TestLeavingForgetsTheKey(t *testing.T) {
	s := newSite(t, nil)
	b := newTab(t, 1280)
	b.open(s.URL + "/")
	b.click("button", "Generate New Key")
	b.fill("textbox", "Key name", "Forgotten")
	b.press(kb.Enter)
	b.find("button", "Copy")
	key := b.text("#generated-key")
	b.open("about:blank")
	b.do(chromedp.NavigateBack())
	b.rowShows("Forgotten", "Active")
	b.keyIsGone(key)
	b.await("!document.querySelector('dialog[open]')")
}

// The list shows every state and updates itself, and revoking asks for confirmation.
func TestListAndRevoke(t *testing.T) {
	s := newSite(t, nil)
	s.seed()
	b := newTab(t, 1280)
	b.open(s.URL + "/")
	b.rowShows("Production Integration", "Active")
	b.rowShows("Production Integration", "1,284,907")
	b.rowShows("ATS sync", "Expires soon")
	b.rowShows("Contractor access", "Expired")
	b.rowShows("Staging import (old)", "Revoked")
	b.rowShows("Development", "Never")
	b.state("keys")
	b.window("keys-window")

	// Another gateway counts a request. The page shows it without a reload, and the focus stays
	// where it is.
	page, err := s.Keys.List(t.Context(), org, 10, "")
	if err != nil {
		t.Fatal(err)
	}
	eval[bool](b, "document.querySelector('#keys tbody tr .danger').focus(), true")
	before := eval[string](b, "document.activeElement.getAttribute('aria-describedby')")
	for _, k := range page.Items {
		if k.Name == "Development" {
			s.must(s.Raw.HSet(t.Context(), s.Store.Names().Usage(k.ID), store.UsageCount, 7, store.UsageLastUsedAt, time.Now().UTC().Format(time.RFC3339)).Err())
		}
	}
	b.rowShows("Development", "7 Active")
	if after := eval[string](b, "document.activeElement.getAttribute('aria-describedby')"); after != before {
		t.Errorf("the focus went from %q to %q", before, after)
	}

	revoke := "[...document.querySelectorAll('#keys tbody tr')].find((r) => r.querySelector('.name').textContent === 'Development').querySelector('button.danger')"
	eval[bool](b, revoke+".click(), true")
	b.see("This is final")
	b.see("up to 60 seconds")
	b.state("revoke")
	if focused := eval[string](b, "document.activeElement.textContent"); focused != "Cancel" {
		t.Errorf("the focus is on %q", focused)
	}
	b.click("button", "Cancel")
	b.await("!document.querySelector('dialog[open]')")
	b.rowShows("Development", "Active")
	eval[bool](b, revoke+".click(), true")
	b.click("button", "Revoke key")
	b.rowShows("Development", "Revoked")
	b.see("Key “Development” revoked.")
	if got := b.row("Development"); strings.Contains(got, "Revoke ") || strings.HasSuffix(got, "Revoke") {
		t.Errorf("a revoked key can be revoked: %q", got)
	}
	if focused := eval[string](b, "document.activeElement.id"); focused != "keys-title" {
		t.Errorf("the focus went to %q", focused)
	}
}

// The exact UTC time can be reached by keyboard, and by touch, which focuses the element.
func TestTimeHint(t *testing.T) {
	s := newSite(t, nil)
	s.key("Production Integration", map[string]string{store.KeyCreatedAt: "2026-03-29T00:59:59Z"}, 0, time.Time{})
	b := newTab(t, 1280)
	b.open(s.URL + "/")
	// The last second before summer time in Berlin.
	b.rowShows("Production Integration", "Mar 29, 2026, 1:59 AM")
	if got := eval[string](b, "document.querySelector('#keys time').dateTime"); got != "2026-03-29T00:59:59.000Z" {
		t.Errorf("datetime is %q", got)
	}
	eval[bool](b, "document.querySelector('#generate').focus(), true")
	b.press(kb.Tab)
	b.await("document.activeElement.textContent === 'Revoke'")
	b.press(kb.ArrowLeft) // a row is one Tab stop
	b.await("document.activeElement.matches('.when')")
	b.see("2026-03-29 00:59:59 UTC")
	if got := eval[string](b, "document.getElementById(document.activeElement.getAttribute('aria-describedby')).textContent"); got != "2026-03-29 00:59:59 UTC" {
		t.Errorf("the description is %q", got)
	}
	b.state("time-hint")
	b.press(kb.Escape)
	b.gone("2026-03-29 00:59:59 UTC")
	b.do(chromedp.Tap(chromedp.CSS("#keys .when")))
	b.see("2026-03-29 00:59:59 UTC")
}

// Names are shown as text, never as markup.
func TestNamesAreEscaped(t *testing.T) {
	s := newSite(t, nil)
	names := []string{
		`<img src=x onerror="document.title='owned'">`, `"><script>document.title='owned'</script>`, `{{constructor.constructor('x')()}}`,
		strings.Repeat("W", 100), "شركة 候補者 🔑 naïve",
	}
	for _, name := range names {
		s.key(name, nil, 0, time.Time{})
	}
	b := newTab(t, 1280)
	b.open(s.URL + "/")
	for _, name := range names {
		b.rowShows(name, "Active")
	}
	if got := eval[int](b, "document.querySelectorAll('#keys img, #keys script').length"); got != 0 {
		t.Errorf("%d elements came from names", got)
	}
	if title := eval[string](b, "document.title"); title != "API Keys · Developer Tools" {
		t.Errorf("the title is %q", title)
	}
	b.state("keys-odd-names")
	b.do(chromedp.EmulateViewport(320, 800))
	b.fits()
	b.state("keys-odd-names-320")
}

// Every key can be seen and revoked, with more keys than one page of the list and than one page of
// the API.
func TestManyKeys(t *testing.T) {
	s := newSite(t, nil)
	for i := range 1205 {
		if _, err := s.Keys.Create(t.Context(), org, apikey.Params{Name: fmt.Sprintf("key %d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	b := newTab(t, 1280)
	b.open(s.URL + "/")
	b.await("document.querySelectorAll('#keys tbody tr').length === 100")
	for _, rows := range []int{200, 400, 800, 1205} {
		b.click("button", "Show more")
		b.await(fmt.Sprintf("document.querySelectorAll('#keys tbody tr').length === %d", rows))
	}
	b.absent("button", "Show more")
	b.pressRevoke("key 0")
	b.click("button", "Revoke key")
	b.rowShows("key 0", "Revoked")
}
