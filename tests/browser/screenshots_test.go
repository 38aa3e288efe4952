package browser

import (
	"os"
	"path/filepath"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
)

// theme sets the colour scheme that the user prefers.
func (b *tab) theme(name string) {
	b.t.Helper()
	if _, err := call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}); err != nil {
		b.t.Fatal(err)
	}
}

// state takes a picture of the page in both themes, and runs axe-core on each, which must find
// nothing.
func (b *tab) state(name string) {
	b.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		b.settle()
		b.picture(name + "-" + theme)
		b.axe(name + ", " + theme)
	}
	b.theme("light")
}

// settle waits until a change of theme has been painted.
func (b *tab) settle() {
	b.t.Helper()
	b.await("document.getAnimations().every((a) => a.playState !== 'running' || a.effect.getTiming().iterations === Infinity)")
	eval[bool](b, "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")
}

// window takes a picture of the window in both themes. The pictures in README.md are made this way.
func (b *tab) window(name string) {
	b.t.Helper()
	for _, theme := range []string{"light", "dark"} {
		b.theme(theme)
		b.settle()
		b.capture(name+"-"+theme, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng})
	}
	b.theme("light")
}

// picture saves a picture of the whole page or, if a dialog is open, of the window.
func (b *tab) picture(name string) {
	b.t.Helper()
	params := page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatPng}
	if metrics, err := call(b, page.GetLayoutMetrics, cdp.Empty{}); err == nil {
		if open, err := call(b, runtime.Evaluate, runtime.EvaluateParams{Expression: "document.querySelector('dialog[open]') !== null", ReturnByValue: new(true)}); err == nil && string(open.Result.Value) == "false" {
			params.CaptureBeyondViewport = new(true)
			params.Clip = &page.Viewport{Width: metrics.CSSContentSize.Width, Height: metrics.CSSContentSize.Height, Scale: 1}
		}
	}
	b.capture(name, params)
}

func (b *tab) capture(name string, params page.CaptureScreenshotParams) {
	b.t.Helper()
	shot, err := call(b, page.CaptureScreenshot, params)
	if err != nil {
		b.t.Errorf("taking a picture: %v", err)
		return
	}
	if err := os.WriteFile(filepath.Join(screenshots(b.t), name+".png"), shot.Data, 0o644); err != nil {
		b.t.Error(err)
	}
}

// axe runs axe-core on the page.
func (b *tab) axe(state string) {
	b.t.Helper()
	if !eval[bool](b, "'axe' in window") {
		eval[bool](b, axeSource(b.t)+"; true")
	}
	type node struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	}
	type violation struct {
		ID, Help string
		Nodes    []node
	}
	found := eval[[]violation](b, `axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations.map((v) =>
		({ID: v.id, Help: v.help, Nodes: v.nodes.map((n) => ({html: n.html, failureSummary: n.failureSummary}))})))`)
	for _, v := range found {
		for _, n := range v.Nodes {
			b.t.Errorf("axe-core, %s: %s: %s\n%s\n%s", state, v.ID, v.Help, n.HTML, n.FailureSummary)
		}
	}
}
