package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// uiTimeout is how long a test waits for the page to show something.
const uiTimeout = 20 * time.Second

// tab is a page in a browser context of its own.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string // errors of the page or the browser
	hosts      map[string]bool
	expected   []string // parts of errors that the test provokes
}

// newTab opens an empty tab with a width in CSS pixels. When the test ends, it fails if the page
// had an error or violated its policy.
func newTab(t *testing.T, width int64) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser(t), chromedp.WithNewBrowserContext())
	b := &tab{t: t, ctx: ctx, hosts: map[string]bool{}}
	t.Cleanup(func() {
		if t.Failed() {
			b.picture("failed-" + strings.ReplaceAll(t.Name(), "/", "-"))
		}
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, s := range b.complaints {
			t.Errorf("the browser complains: %s", s)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // opens the tab, which lives as long as ctx
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(width, 900))
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		if _, err := cdp.Call(ctx, target, cdplog.Enable, cdp.Empty{}); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, target, network.Enable, network.EnableParams{})
		return err
	}))
	b.theme("light")
	return b
}

// expect declares an error of the browser that the test provokes.
func (b *tab) expect(part string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, part)
}

func (b *tab) listen(event any) {
	var s string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		s = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			s += " " + e.ExceptionDetails.Exception.Description
		}
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			s = e.Entry.Text + " " + e.Entry.URL
		}
	case *network.EventRequestWillBeSent:
		b.mu.Lock()
		b.hosts[e.Request.URL] = true
		b.mu.Unlock()
	}
	if s == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if strings.Contains(s, "404") && strings.HasSuffix(s, "/api/webhook") {
		return // an organization without a webhook
	}
	for _, part := range b.expected {
		if strings.Contains(s, part) {
			return
		}
	}
	b.complaints = append(b.complaints, s)
}

// requested returns the URLs that the tab has requested.
func (b *tab) requested() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for u := range b.hosts {
		out = append(out, u)
	}
	return out
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, uiTimeout)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// call runs a protocol command.
func call[P, R any](b *tab, cmd cdp.Command[P, R], params P) (R, error) {
	ctx, cancel := context.WithTimeout(b.ctx, uiTimeout)
	defer cancel()
	return chromedp.Call(ctx, cmd, params)
}

// open navigates to a URL.
func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// eval evaluates an expression in the page, and waits for it if it is a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, uiTimeout)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

// await waits until an expression is true.
func (b *tab) await(expression string) {
	b.t.Helper()
	harness.Eventually(b.t, uiTimeout, func() error {
		ctx, cancel := context.WithTimeout(b.ctx, uiTimeout)
		defer cancel()
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("not true: %s", expression)
		}
		return nil
	})
}

// text returns the visible text of a selector's first match.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, "(document.querySelector("+quote(selector)+")?.innerText ?? '(nothing)')")
}

// see waits until the page shows a text.
func (b *tab) see(text string) {
	b.t.Helper()
	harness.Eventually(b.t, uiTimeout, func() error {
		if shown := b.text("body"); !strings.Contains(collapseSpaces(shown), collapseSpaces(text)) {
			return fmt.Errorf("the page does not show %q but:\n%s", text, shown)
		}
		return nil
	})
}

// gone waits until the page does not show a text.
func (b *tab) gone(text string) {
	b.t.Helper()
	harness.Eventually(b.t, uiTimeout, func() error {
		if strings.Contains(collapseSpaces(b.text("body")), collapseSpaces(text)) {
			return fmt.Errorf("the page still shows %q", text)
		}
		return nil
	})
}

func collapseSpaces(s string) string { return strings.Join(strings.Fields(s), " ") }

func quote(s string) string {
	q, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(q)
}
