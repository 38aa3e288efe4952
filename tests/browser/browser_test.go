// Package browser tests Developer Tools in a real Chromium: the workflows of the customers'
// documentation from start to end, with controls found by accessible name; axe-core, which must
// find nothing; and pictures of each state, in tests/screenshots.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// started is the browser of this test process. Each test has a browser context of its own in it,
// with its own storage.
var started struct {
	once   sync.Once
	ctx    context.Context
	cancel context.CancelFunc
	err    error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if started.cancel != nil {
		started.cancel()
	}
	os.Exit(status)
}

// browser returns the context of Chromium, which the first call starts.
func browser(t *testing.T) context.Context {
	t.Helper()
	started.once.Do(func() {
		path, err := exec.LookPath("chromium")
		if err != nil {
			started.err = fmt.Errorf("chromium is not installed; tests/run.sh installs it: %w", err)
			return
		}
		allocator, stop := chromedp.NewExecAllocator(context.Background(),
			chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
			chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
			chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true),
			chromedp.Flag("lang", "en-GB"), chromedp.Env("TZ=Europe/Berlin", "LANGUAGE=en_GB"),
		)
		ctx, cancel := chromedp.NewContext(allocator)
		started.ctx = ctx
		started.cancel = func() {
			cancel()
			stop()
		}
		started.err = chromedp.Do(ctx)
	})
	if started.err != nil {
		t.Fatalf("starting Chromium: %v", started.err)
	}
	return started.ctx
}

// axeSource returns the source of axe-core.
func axeSource(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(harness.Root(t), "tests/browser/node_modules/axe-core/axe.min.js"))
	if err != nil {
		t.Fatalf("axe-core is not installed; tests/browser/install.sh installs it: %v", err)
	}
	return string(source)
}

// screenshots returns the folder for pictures.
func screenshots(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(harness.Root(t), "tests/screenshots")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
