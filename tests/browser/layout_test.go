package browser

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// A time breaks at most between its date and its time of day, at every width and beside every name.
func TestDatesStayWhole(t *testing.T) {
	s := newSite(t, nil)
	s.seed()
	ago := func(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339) }
	s.key("Contractor integration for the staging environment of our applicant tracking system", map[string]string{
		store.KeyCreatedAt: "2026-10-26T00:42:00Z", store.KeyExpiresAt: ago(48 * time.Hour),
	}, 88, time.Now().Add(-100*time.Hour))
	b := newTab(t, 1280)
	b.open(s.URL + "/#api-keys")
	b.rowShows("Production Integration", "Active")
	b.click("link", "Webhooks")
	b.see("note-11aa")
	for _, width := range []int64{320, 390, 820, 880, 881, 900, 1000, 1100, 1180, 1181, 1400} {
		b.do(chromedp.EmulateViewport(width, 900))
		for link, view := range map[string]string{"API Keys": "#view-api-keys", "Webhooks": "#view-webhooks"} {
			b.click("link", link)
			b.await("!document.querySelector('" + view + "').hidden")
			b.fits()
			broken := eval[[]string](b, `(() => {
				const lines = (node) => { const r = document.createRange(); r.selectNodeContents(node); return new Set([...r.getClientRects()].map((c) => Math.round(c.top))).size };
				const shown = [...document.querySelectorAll('`+view+` td .when')];
				const parts = shown.flatMap((w) => [...w.querySelectorAll('span')]).filter((p) => lines(p) !== 1);
				const words = shown.map((w) => w.previousSibling).filter((n) => n && lines(n) !== 1);
				const apart = shown.filter((w) => w.previousSibling && w.querySelector('span').getBoundingClientRect().top - w.parentElement.getBoundingClientRect().top > 8);
				return shown.length ? [...parts, ...words, ...apart].map((n) => n.textContent) : ['nothing'];
			})()`)
			if len(broken) > 0 {
				t.Errorf("at %d pixels these are broken: %s", width, strings.Join(broken, "; "))
			}
		}
	}
}

// On a phone the label stands beside its switch, and the state below the label.
func TestSwitchOnAPhone(t *testing.T) {
	s := newSite(t, nil)
	b := newTab(t, 320)
	b.open(s.URL + "/#webhooks")
	b.find("switch", "Enable webhook delivery")
	if got := eval[string](b, `(() => {
		const box = (s) => document.querySelector(s).getBoundingClientRect();
		const [row, knob, label, word] = ['.switch-row', '#active', 'label[for=active]', '#active-word'].map(box);
		if (label.top >= knob.bottom || label.left <= knob.right) return 'the label is not beside the switch';
		if (word.left !== label.left && word.top >= label.bottom) return 'the word is not below the label';
		return row.height > 110 ? 'the row is ' + row.height + ' pixels high' : '';
	})()`); got != "" {
		t.Error(got)
	}
}

// The mark of a stale list is visible wherever the user has scrolled to.
func TestStaleListIsMarked(t *testing.T) {
	s := newSite(t, nil)
	for i := range 60 {
		s.key(fmt.Sprintf("key %d", i), nil, 0, time.Time{})
	}
	b := newTab(t, 1000)
	b.expect("503")
	b.open(s.URL + "/")
	b.rowShows("key 0", "Active")
	s.intercept(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Error(w, "", http.StatusServiceUnavailable)
	})
	b.see("Not up to date: Something went wrong on the server.")
	for _, name := range []string{"key 59", "key 30", "key 0"} {
		b.await("(() => { [...document.querySelectorAll('#keys .name')].find((n) => n.textContent === " + quote(name) + `).scrollIntoView({block: 'center'});
			const s = document.querySelector('#keys .stale').getBoundingClientRect();
			return s.height > 0 && s.top >= 0 && s.bottom <= innerHeight && document.elementFromPoint(s.left + 40, s.top + s.height / 2).matches('.stale') })()`)
	}
	b.window("keys-stale-scrolled")
	s.intercept(nil)
	b.gone("Not up to date")
}
