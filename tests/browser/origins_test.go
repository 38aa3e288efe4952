package browser

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// The page loads nothing from other origins, keeps its policy, and another origin cannot act on it.
func TestOtherOrigins(t *testing.T) {
	s := newSite(t, nil)
	s.webhook("https://one.example/hook", "", true)
	b := newTab(t, 1280)
	b.open(s.URL + "/")
	b.see("No API keys yet")
	b.click("link", "Webhooks")
	b.see("No deliveries yet")
	for _, u := range b.requested() {
		if !strings.HasPrefix(u, s.URL+"/") {
			t.Errorf("the page asked for %s", u)
		}
	}

	evil := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true, Answer: func(r *harness.Received) harness.Answer {
		if r.Path == "/frame" {
			return harness.Answer{Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: []byte("<iframe src='" + s.URL + "/'></iframe>")}
		}
		return harness.Answer{Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: []byte("<p>evil</p>")}
	}})
	other := newTab(t, 800)
	other.expect("") // any message about what the browser blocked
	other.open(evil.URL() + "/")
	attempts := map[string]string{
		"json":   `fetch(%q, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{"name":"evil"}'})`,
		"simple": `fetch(%q, {method: 'POST', mode: 'no-cors', headers: {'Content-Type': 'text/plain'}, body: '{"name":"evil"}'})`,
		"read":   `fetch(%q).then((r) => { if (r.ok) throw new Error('was read') })`,
	}
	for name, attempt := range attempts {
		got := eval[string](other, fmt.Sprintf(attempt, s.URL+"/api/keys")+".then(() => 'answered', (e) => String(e))")
		if name != "simple" && !strings.Contains(got, "Failed to fetch") {
			t.Errorf("%s: %s", name, got)
		}
	}
	eval[bool](other, `(() => { const f = document.createElement('form'); f.method = 'post'; f.enctype = 'text/plain'; f.action = `+quote(s.URL+"/api/keys")+
		`; const i = document.createElement('input'); i.name = '{"name":"evil","x":"'; i.value = '"}'; f.append(i); document.body.append(f); f.submit(); return true })()`)
	other.see("cross_origin")
	keys, err := s.Keys.List(t.Context(), org, 10, "")
	if err != nil || len(keys.Items) != 0 {
		t.Errorf("%d keys were made, %v", len(keys.Items), err)
	}
	other.open(evil.URL() + "/frame")
	if got := eval[int](other, "(() => { try { return frames[0].document.querySelectorAll('nav').length } catch { return 0 } })()"); got != 0 {
		t.Error("another site embeds the page")
	}
	for _, u := range []string{"/", "/assets/app.js", "/api/keys"} {
		resp, err := http.Get(s.URL + u)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s has the policy %q", u, csp)
		}
	}
}

// If the site allows it, another site can embed the page, and the page works there.
func TestEmbedded(t *testing.T) {
	s := newSite(t, nil)
	host := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true, Answer: func(*harness.Received) harness.Answer {
		return harness.Answer{Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: []byte("<!doctype html><title>host</title><iframe src='" + s.URL + "/' width=900 height=800></iframe>")}
	}})
	s.Handler.FrameAncestors = []string{host.URL()}
	b := newTab(t, 1280)
	b.open(host.URL() + "/")
	var frame *page.FrameTree
	harness.Eventually(t, uiTimeout, func() error {
		tree, err := call(b, page.GetFrameTree, cdp.Empty{})
		if err != nil || len(tree.FrameTree.ChildFrames) != 1 || !strings.HasPrefix(tree.FrameTree.ChildFrames[0].Frame.URL, s.URL) {
			return fmt.Errorf("the frame is not there, %v", err)
		}
		frame = tree.FrameTree.ChildFrames[0]
		return nil
	})
	world, err := call(b, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frame.Frame.ID})
	if err != nil {
		t.Fatal(err)
	}
	inFrame := func(expression string) string {
		t.Helper()
		result, err := call(b, runtime.Evaluate, runtime.EvaluateParams{Expression: expression, ContextID: world.ExecutionContextID, ReturnByValue: new(true)})
		if err != nil {
			t.Fatal(err)
		}
		return string(result.Result.Value)
	}
	harness.Eventually(t, uiTimeout, func() error {
		if shown := inFrame("document.body.innerText"); !strings.Contains(shown, "No API keys yet") {
			return fmt.Errorf("the frame shows %s", shown)
		}
		return nil
	})
	inFrame(`document.querySelector('#generate').click(), document.querySelector('#key-name').value = 'Embedded', document.querySelector('#generate-form').requestSubmit()`)
	harness.Eventually(t, uiTimeout, func() error {
		keys, err := s.Keys.List(t.Context(), org, 10, "")
		if err != nil || len(keys.Items) != 1 {
			return fmt.Errorf("%d keys, %v: %s", len(keys.Items), err, inFrame("document.body.innerText"))
		}
		return nil
	})
}

// A script injected into the page's markup is not run.
func TestPolicyStopsInlineScript(t *testing.T) {
	s := newSite(t, nil)
	s.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		if r.URL.Path == "/" {
			_, _ = w.Write([]byte("<script>document.title = 'owned'</script>"))
		}
	})
	b := newTab(t, 1280)
	b.expect("Content Security Policy")
	b.open(s.URL + "/")
	b.see("No API keys yet")
	if title := eval[string](b, "document.title"); title == "owned" {
		t.Error("an inline script ran")
	}
}
