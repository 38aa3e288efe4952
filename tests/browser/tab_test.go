package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// patience is how long a test waits for the page to show something.
const patience = 20 * time.Second

// tab is a page in a browser context of its own.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	trouble  []string // what the page or the browser complained of
	hosts    map[string]bool
	expected []string // parts of complaints that the test provokes
}

// newTab opens an empty tab of a width in CSS pixels. When the test ends, it fails where the page had an error, or broke its policy.
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
		for _, s := range b.trouble {
			t.Errorf("the browser complains: %s", s)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // opens it, for as long as ctx lives
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

// expect says that a complaint of the browser is what the test provokes.
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
	b.trouble = append(b.trouble, s)
}

// requested returns the URLs the tab has asked for.
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
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// call runs a protocol command.
func call[P, R any](b *tab, cmd cdp.Command[P, R], params P) (R, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Call(ctx, cmd, params)
}

// open goes to a URL.
func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

// eval evaluates an expression in the page, and waits where it is a promise.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
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
	harness.Eventually(b.t, patience, func() error {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
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

// text is what a selector's first match shows.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return eval[string](b, "(document.querySelector("+quote(selector)+")?.innerText ?? '(nothing)')")
}

// see waits until the page shows a text.
func (b *tab) see(text string) {
	b.t.Helper()
	harness.Eventually(b.t, patience, func() error {
		if shown := b.text("body"); !strings.Contains(squash(shown), squash(text)) {
			return fmt.Errorf("the page does not show %q but:\n%s", text, shown)
		}
		return nil
	})
}

// gone waits until the page does not show a text.
func (b *tab) gone(text string) {
	b.t.Helper()
	harness.Eventually(b.t, patience, func() error {
		if strings.Contains(squash(b.text("body")), squash(text)) {
			return fmt.Errorf("the page still shows %q", text)
		}
		return nil
	})
}

func squash(s string) string { return strings.Join(strings.Fields(s), " ") }

func quote(s string) string {
	q, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(q)
}

// named returns what has a role and exactly this accessible name, as assistive technology sees it.
func (b *tab) named(role, name string) ([]cdp.BackendNodeID, error) {
	document, err := call(b, dom.GetDocument, dom.GetDocumentParams{})
	if err != nil {
		return nil, err
	}
	tree, err := call(b, accessibility.QueryAXTree, accessibility.QueryAXTreeParams{BackendNodeID: document.Root.BackendNodeID, AccessibleName: name, Role: role})
	if err != nil {
		return nil, err
	}
	var out []cdp.BackendNodeID
	for _, n := range tree.Nodes {
		if !n.Ignored {
			out = append(out, n.BackendDOMNodeID)
		}
	}
	return out, nil
}

// find waits for what has a role and accessible name; of several it is the first.
func (b *tab) find(role, name string) cdp.BackendNodeID {
	b.t.Helper()
	var found cdp.BackendNodeID
	harness.Eventually(b.t, patience, func() error {
		all, err := b.named(role, name)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return fmt.Errorf("there is no %s named %q", role, name)
		}
		found = all[0]
		return nil
	})
	return found
}

// absent waits until nothing has a role and accessible name.
func (b *tab) absent(role, name string) {
	b.t.Helper()
	harness.Eventually(b.t, patience, func() error {
		all, err := b.named(role, name)
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("there is a %s named %q", role, name)
		}
		return err
	})
}

// click clicks what has a role and accessible name, in its middle, as a mouse does.
func (b *tab) click(role, name string) {
	b.t.Helper()
	harness.Eventually(b.t, patience, func() error { return b.tryClick(b.find(role, name)) })
}

func (b *tab) tryClick(id cdp.BackendNodeID) error {
	if _, err := call(b, dom.ScrollIntoViewIfNeeded, dom.ScrollIntoViewIfNeededParams{BackendNodeID: id}); err != nil {
		return err
	}
	quads, err := call(b, dom.GetContentQuads, dom.GetContentQuadsParams{BackendNodeID: id})
	if err != nil {
		return err
	}
	if len(quads.Quads) == 0 {
		return errors.New("it has no place on the page")
	}
	q := quads.Quads[0]
	x, y := (q[0]+q[4])/2, (q[1]+q[5])/2
	if err := b.hits(id, x, y); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, chromedp.MouseClickXY(x, y))
}

// hits says whether a point of the window belongs to a node, rather than to what lies over it, or came there meanwhile.
func (b *tab) hits(id cdp.BackendNodeID, x, y float64) error {
	node, err := call(b, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: id})
	if err != nil {
		return err
	}
	result, err := call(b, runtime.CallFunctionOn, runtime.CallFunctionOnParams{
		ObjectID: node.Object.ObjectID, ReturnByValue: new(true),
		FunctionDeclaration: fmt.Sprintf("function() { const e = document.elementFromPoint(%v, %v); return this.contains(e) }", x, y),
	})
	if err != nil {
		return err
	}
	if string(result.Result.Value) != "true" {
		return errors.New("something else lies over it")
	}
	return nil
}

// fill replaces the text of the field with an accessible name. role is textbox or another that takes text.
func (b *tab) fill(role, name, text string) {
	b.t.Helper()
	id := b.find(role, name)
	if _, err := call(b, dom.Focus, dom.FocusParams{BackendNodeID: id}); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.KeyEvent("a", chromedp.KeyModifiers(kb.ModifierCtrl)))
	b.press(kb.Delete)
	if _, err := call(b, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		b.t.Fatal(err)
	}
}

// press presses a key.
func (b *tab) press(key string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(key))
}

// setDate puts a day, as YYYY-MM-DD, into a date field.
func (b *tab) setDate(selector, day string) {
	b.t.Helper()
	eval[bool](b, "(() => { const i = document.querySelector("+quote(selector)+"); i.value = "+quote(day)+
		"; i.dispatchEvent(new Event('input', {bubbles: true})); i.dispatchEvent(new Event('change', {bubbles: true})); return true })()")
}
