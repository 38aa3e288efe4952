package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The page fits every window from 320 pixels on, with all of its content.
func TestWidths(t *testing.T) {
	s := newSite(t, nil)
	s.seed()
	b := newTab(t, 1280)
	for _, width := range []int64{320, 390, 768, 1024, 1920} {
		b.do(chromedp.EmulateViewport(width, 900))
		for _, view := range []string{"api-keys", "webhooks"} {
			b.open(s.URL + "/?" + fmt.Sprint(width) + "#" + view)
			b.see(map[string]string{"api-keys": "Production Integration", "webhooks": "note-11aa"}[view])
			b.fits()
			b.state(fmt.Sprintf("width-%d-%s", width, view))
		}
	}
	b.do(chromedp.EmulateViewport(320, 640))
	b.open(s.URL + "/#api-keys")
	b.click("button", "Generate New Key")
	b.fits()
	b.state("width-320-dialog")
	b.fill("textbox", "Key name", "Phone")
	b.press(kb.Enter)
	b.find("button", "Copy")
	b.fits()
	b.state("width-320-key")
}

// Every control is reached with the keyboard alone, in reading order.
func TestKeyboard(t *testing.T) {
	s := newSite(t, nil)
	s.webhook("https://one.example/hook", "", true)
	b := newTab(t, 1280)
	b.open(s.URL + "/#webhooks")
	b.await("document.querySelector('#url').value !== ''")
	var order []string
	for range 40 {
		b.press(kb.Tab)
		name := eval[string](b, "document.activeElement.id || document.activeElement.textContent.trim()")
		if len(order) > 0 && name == order[0] {
			break
		}
		order = append(order, name)
	}
	want := []string{"Skip to content", "API Keys", "Webhooks", "url", "secret", "secret-generate", "active", "save", "webhook-delete", "event", "test-send"}
	if got := strings.Join(order, "|"); !strings.HasPrefix(got, strings.Join(want, "|")) {
		t.Errorf("the order is %s", got)
	}
	eval[bool](b, "document.querySelector('#code-Python').focus(), true")
	b.press(kb.ArrowRight)
	b.await("document.activeElement.id === 'code-Node' && document.querySelector('#code-panel').textContent.includes('createHmac')")
	b.press(kb.ArrowRight)
	b.await("document.querySelector('#code-panel').textContent.includes('hmac.Equal')")
	b.state("verify-go")
	eval[bool](b, "document.querySelector('#active').focus(), true")
	b.press(" ")
	b.see("Inactive")
	eval[bool](b, "document.querySelector('#webhook-delete').focus(), true")
	b.press(kb.Enter)
	b.see("Delete the webhook configuration?")
	b.press(kb.Escape)
	b.await("!document.querySelector('dialog[open]') && document.activeElement.id === 'webhook-delete'")
}

// fits checks that nothing overflows the window to the right.
func (b *tab) fits() {
	b.t.Helper()
	over := eval[[]string](b, `(() => { const width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= width) return [];
		return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > width + 0.5).map((e) => e.outerHTML.slice(0, 120)) })()`)
	if len(over) > 0 {
		b.t.Errorf("these stick out of the window: %s", strings.Join(over, "\n"))
	}
}
