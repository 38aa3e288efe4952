package browser

// Locating elements as assistive technology does, by role and accessible name, and using them as a
// user would.

import (
	"context"
	"errors"
	"fmt"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// named returns the elements with a role and exactly this accessible name, from the accessibility
// tree.
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

// find waits for an element with a role and accessible name, and returns the first of several.
func (b *tab) find(role, name string) cdp.BackendNodeID {
	b.t.Helper()
	var found cdp.BackendNodeID
	harness.Eventually(b.t, uiTimeout, func() error {
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

// absent waits until no element has the role and accessible name.
func (b *tab) absent(role, name string) {
	b.t.Helper()
	harness.Eventually(b.t, uiTimeout, func() error {
		all, err := b.named(role, name)
		if err == nil && len(all) > 0 {
			err = fmt.Errorf("there is a %s named %q", role, name)
		}
		return err
	})
}

// click clicks the middle of the element with a role and accessible name, with the mouse.
func (b *tab) click(role, name string) {
	b.t.Helper()
	harness.Eventually(b.t, uiTimeout, func() error { return b.tryClick(b.find(role, name)) })
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
	if err := b.isTopmost(id, x, y); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(b.ctx, uiTimeout)
	defer cancel()
	return chromedp.Do(ctx, chromedp.MouseClickXY(x, y))
}

// isTopmost checks that a point of the window belongs to a node and not to an element above it.
func (b *tab) isTopmost(id cdp.BackendNodeID, x, y float64) error {
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

// fill replaces the text of the field with an accessible name. role is textbox or another role that
// accepts text.
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

// setDate sets a date field to a day, as YYYY-MM-DD.
func (b *tab) setDate(selector, day string) {
	b.t.Helper()
	eval[bool](b, "(() => { const i = document.querySelector("+quote(selector)+"); i.value = "+quote(day)+
		"; i.dispatchEvent(new Event('input', {bubbles: true})); i.dispatchEvent(new Event('change', {bubbles: true})); return true })()")
}
