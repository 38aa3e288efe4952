package browser

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// From 20 keys on the list has a search field, which finds keys beyond those shown.
func TestSearchKeys(t *testing.T) {
	s := newSite(t, nil)
	for i := range 19 {
		s.key(fmt.Sprintf("Integration %02d", i), nil, 0, time.Time{})
	}
	b := newTab(t, 1280)
	b.open(s.URL + "/")
	b.await("document.querySelectorAll('#keys tbody tr').length === 19")
	b.absent("searchbox", "Search API keys")
	for i := 19; i < 130; i++ {
		s.key(fmt.Sprintf("Integration %02d", i), nil, 0, time.Time{})
	}
	revoked := s.key("Contractor", map[string]string{store.KeyRevokedAt: time.Now().UTC().Format(time.RFC3339)}, 0, time.Time{})
	b.find("searchbox", "Search API keys")
	b.await("document.querySelectorAll('#keys tbody tr').length === 100")
	b.fill("searchbox", "Search API keys", "integration 30") // not among the newest 100
	b.await("document.querySelectorAll('#keys tbody tr').length === 1")
	b.see("Integration 30")
	b.state("keys-search")
	b.fill("searchbox", "Search API keys", "REVOKED contr")
	b.await("document.querySelectorAll('#keys tbody tr').length === 1")
	b.fill("searchbox", "Search API keys", revoked.Hint[len(revoked.Hint)-4:])
	b.see("Contractor")
	b.fill("searchbox", "Search API keys", "no such key")
	b.see("No API key matches.")
	b.fill("searchbox", "Search API keys", "")
	b.await("document.querySelectorAll('#keys tbody tr').length === 100")
	b.gone("No API key matches.")
}

// A row is one Tab stop; the arrow keys reach its other buttons.
func TestRowsAreOneTabStop(t *testing.T) {
	s := newSite(t, nil)
	s.seed()
	b := newTab(t, 1280)
	b.open(s.URL + "/")
	b.await("document.querySelectorAll('#keys tbody tr').length === 5")
	b.await("[...document.querySelectorAll('#keys tbody tr')].every((r) => r.querySelectorAll('button:not([tabindex=\"-1\"])').length === 1)")
	eval[bool](b, "document.querySelector('#generate').focus(), true")
	b.press(kb.Tab)
	b.await("document.activeElement.textContent === 'Revoke' && document.activeElement.closest('tr') === document.querySelector('#keys tbody tr')")
	b.press(kb.ArrowLeft)
	b.await("document.activeElement.matches('#keys tbody tr:first-child .when')")
	b.press(kb.ArrowRight)
	b.await("document.activeElement.textContent === 'Revoke'")
	b.press(kb.Tab)
	b.await("document.activeElement.closest('tr') === document.querySelectorAll('#keys tbody tr')[1]")
}
