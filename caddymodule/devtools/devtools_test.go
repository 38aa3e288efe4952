package devtools

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/api"
	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newHandler returns a handler with a Redis of its own.
func newHandler(t *testing.T) (*Handler, *apikey.Service) {
	t.Helper()
	r := harness.StartRedis(t)
	r.Mark()
	st, err := store.Open(store.Options{URL: r.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	keys := apikey.NewService(st)
	return &Handler{API: api.New(api.Services{
		Keys: keys, Webhooks: webhook.NewService(st, &address.Policy{}), Queue: queue.New(st, queue.Options{}),
	})}, keys
}

// request is a request and its caller.
type request struct {
	method, path, body string
	header             http.Header
	caller             Caller
}

// do serves a request; the default caller is acme.
func do(h *Handler, q request) *http.Response {
	if q.method == "" {
		q.method = http.MethodGet
	}
	r := httptest.NewRequest(q.method, "http://tools.example"+q.path, strings.NewReader(q.body))
	maps.Copy(r.Header, q.header)
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.caller.Org == "" && q.caller.Path == "" && !q.caller.ByAPIKey {
		q.caller.Org = "acme"
	}
	w := httptest.NewRecorder()
	h.Serve(w, r, q.caller)
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The handler works wherever it is mounted, whether its prefix is removed or not.
func TestMounts(t *testing.T) {
	h, _ := newHandler(t)
	kinds := map[string]string{"": "text/html", "assets/app.js": "text/javascript", "assets/style.css": "text/css", "assets/icon.svg": "image/svg+xml", "api/keys": "application/json", "api/openapi.json": "application/json"}
	for _, mount := range []string{"/", "/tools/", "/settings/developer-tools/", "/api/", "/api/v1/tools/", "/assets/", "/keys/", "/v1.2/"} {
		for path, kind := range kinds {
			for name, q := range map[string]request{
				"whole":    {path: mount + path},
				"stripped": {path: "/" + path, caller: Caller{Org: "acme", Path: mount + path}},
			} {
				r := do(h, q)
				if got := r.Header.Get("Content-Type"); r.StatusCode != http.StatusOK || !strings.HasPrefix(got, kind) {
					t.Errorf("%s, %s: %d %q, not %q", mount+path, name, r.StatusCode, got, kind)
				}
			}
		}
	}
	for path, want := range map[string]string{"/tools": "./tools/", "/a/b": "./b/", "/tools?x=1": "./tools/?x=1", "/a%20b": "./a%20b/", "/v1.2": "./v1.2/", "/a/tools.example": "./tools.example/"} {
		r := do(h, request{path: path})
		if r.StatusCode != http.StatusPermanentRedirect || r.Header.Get("Location") != want {
			t.Errorf("%s: %d to %q, not to %q", path, r.StatusCode, r.Header.Get("Location"), want)
		}
	}
	if r := do(h, request{path: "/", caller: Caller{Org: "acme", Path: "/tools"}}); r.StatusCode != http.StatusPermanentRedirect || r.Header.Get("Location") != "./tools/" {
		t.Errorf("a mount without its slash: %d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	for _, path := range []string{"/favicon.ico", "/assets/", "/assets/nothing.js", "/assets/../devtools.go", "/page.html", "/api/nothing", "/tools/api/keys/", "/tools/api/keys/a/b", "/api/nothing.json", "/robots.txt", "/.env", "/a/FAVICON.ICO", "/api/events"} {
		r := do(h, request{path: path})
		if path == "/assets/" {
			continue // a mount of this name
		}
		if r.StatusCode != http.StatusNotFound || r.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %q", path, r.StatusCode, r.Header.Get("Content-Type"))
		}
	}
	for _, path := range []string{"/", "/assets/app.js", "/tools"} {
		r := do(h, request{method: "POST", path: path})
		if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d, Allow %q", path, r.StatusCode, r.Header.Get("Allow"))
		}
	}
}

// Where the mounts are known, every other path is 404.
func TestKnownMounts(t *testing.T) {
	h, _ := newHandler(t)
	tools := []string{"/tools/", "/a/Tools/"}
	for _, c := range []struct {
		path, original string
		mounts         []string
		status         int
	}{
		{"/", "", []string{"/"}, 200},
		{"/assets/app.js", "", []string{"/"}, 200},
		{"/api/keys", "", []string{"/"}, 200},
		{"/config/", "", []string{"/"}, 404},
		{"/api/", "", []string{"/"}, 404},
		{"/api", "", []string{"/"}, 404},
		{"/config", "", []string{"/"}, 404},
		{"/tools/api/keys", "", []string{"/"}, 404},
		{"/tenzo/orgs/x/keys", "", []string{"/"}, 404},
		{"/assets/", "", []string{"/"}, 404},
		{"//", "", []string{"/"}, 404},
		{"/tools/", "", tools, 200},
		{"/TOOLS/api/keys", "", tools, 200},
		{"/a/tools/assets/style.css", "", tools, 200},
		{"/tools", "", tools, 308},
		{"/", "", tools, 404},
		{"/other/", "", tools, 404},
		{"/tools/x/api/keys", "", tools, 404},
		{"/tools/tools/", "", tools, 404},
		{"/", "/tools/", tools, 200},
		{"/api/keys", "/tools/api/keys", tools, 200},
		{"/x/", "/tools/x/", tools, 404},
		{"/", "/tools", tools, 308},
		{"/api/v1/tools/api/keys", "", []string{"/api/v1/tools/"}, 200},
		{"/api/v1/tools/", "", []string{"/api/v1/tools/"}, 200},
	} {
		r := do(h, request{path: c.path, caller: Caller{Org: "acme", Path: c.original, Mounts: c.mounts}})
		if r.StatusCode != c.status {
			t.Errorf("%s (%s) under %v: %d, want %d", c.path, c.original, c.mounts, r.StatusCode, c.status)
		}
	}
}

// An unknown path of the API is not taken for a known one, whatever its end; and a write to a
// folder in it is not answered by the page.
func TestNoPathPassesForAnother(t *testing.T) {
	h, keys := newHandler(t)
	if r := do(h, request{method: "PUT", path: "/api/webhook", body: `{"url": "https://one.example/hook"}`}); r.StatusCode != http.StatusOK {
		t.Fatal(r.Status)
	}
	for _, mount := range []string{"/", "/tools/", "/api/"} {
		for _, path := range []string{"orgs/other/keys", "orgs/other/webhook", "v2/keys", "nothing/keys", "nothing/openapi.json", "nothing/webhook/test", "nothing/dead-letters/replay", "tenzo/orgs/acme/keys", "nothing/", "nothing/keys/", ""} {
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
				if method == "GET" && (path == "" || strings.HasSuffix(path, "/")) {
					continue // a mount may have such a name
				}
				r := do(h, request{method: method, path: mount + "api/" + path, body: `{"name": "mistaken"}`})
				if got := text(t, r); r.StatusCode != http.StatusNotFound || !strings.Contains(got, `"not_found"`) {
					t.Errorf("%s %sapi/%s: %d %s", method, mount, path, r.StatusCode, got)
				}
			}
		}
	}
	if page, err := keys.List(t.Context(), "acme", 10, ""); err != nil || len(page.Items) != 0 {
		t.Errorf("%d keys were made, %v", len(page.Items), err)
	}
	if r := do(h, request{path: "/api/webhook"}); r.StatusCode != http.StatusOK {
		t.Errorf("the webhook is gone: %s", r.Status)
	}
}

// A 403 comes before everything else: page, files, API, whatever is at the path.
func TestNobodyIsServedNothing(t *testing.T) {
	h, _ := newHandler(t)
	callers := map[string]Caller{
		"no organization": {ByAPIKey: false, Path: "/"}, "a space": {Org: " "}, "a slash": {Org: "a/b"}, "a placeholder": {Org: "{http.vars.org}"}, "two": {Org: "a,b"},
		"long": {Org: strings.Repeat("x", 129)}, "an API key": {Org: "acme", ByAPIKey: true},
	}
	for name, c := range callers {
		for _, path := range []string{"/", "/tools", "/assets/app.js", "/api/keys", "/api/openapi.json", "/nothing.txt", "/api/nothing"} {
			for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "OPTIONS"} {
				r := do(h, request{method: method, path: path, caller: c})
				if r.StatusCode != http.StatusForbidden || r.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: %s %s: %d", name, method, path, r.StatusCode)
				}
			}
		}
	}
}

func TestWritesComeFromThePage(t *testing.T) {
	h, keys := newHandler(t)
	for name, c := range map[string]struct {
		header http.Header
		ok     bool
	}{
		"no browser":                        {nil, true},
		"the page":                          {http.Header{"Origin": {"https://tools.example"}, "Sec-Fetch-Site": {"same-origin"}}, true},
		"an older browser":                  {http.Header{"Origin": {"https://tools.example"}}, true},
		"behind a proxy that rewrites Host": {http.Header{"Origin": {"https://dashboard.example"}, "Sec-Fetch-Site": {"same-origin"}}, true},
		"the address bar":                   {http.Header{"Sec-Fetch-Site": {"none"}}, true},
		"an older one behind such a proxy":  {http.Header{"Origin": {"https://dashboard.example"}}, false},
		"another site":                      {http.Header{"Origin": {"https://evil.example"}, "Sec-Fetch-Site": {"cross-site"}}, false},
		"another port":                      {http.Header{"Origin": {"https://tools.example:8443"}}, false},
		"a longer host":                     {http.Header{"Origin": {"https://tools.example.evil.example"}}, false},
		"null":                              {http.Header{"Origin": {"null"}}, false},
		"no URL":                            {http.Header{"Origin": {"https://%zz"}}, false},
		"two":                               {http.Header{"Origin": {"https://evil.example", "https://tools.example"}}, false},
		"a sibling":                         {http.Header{"Sec-Fetch-Site": {"same-site"}}, false},
		"a lie in one of two":               {http.Header{"Origin": {"https://tools.example"}, "Sec-Fetch-Site": {"cross-site"}}, false},
		"another scheme's port":             {http.Header{"Origin": {"http://tools.example:443"}}, false},
	} {
		for method, path := range map[string]string{"POST": "/api/keys", "DELETE": "/api/keys/key_x", "PUT": "/api/webhook", "PATCH": "/api/webhook"} {
			r := do(h, request{method: method, path: path, header: c.header})
			if got := r.StatusCode != http.StatusForbidden; got != c.ok {
				t.Errorf("%s: %s %s: %d", name, method, path, r.StatusCode)
			}
		}
		if r := do(h, request{path: "/api/keys", header: c.header}); r.StatusCode != http.StatusOK {
			t.Errorf("%s reads with %d", name, r.StatusCode)
		}
	}
	r := do(h, request{method: "POST", path: "/api/keys", body: `{"name": "evil"}`, header: http.Header{"Origin": {"https://evil.example"}}})
	if got := text(t, r); r.StatusCode != http.StatusForbidden || !strings.Contains(got, "must pass the header Sec-Fetch-Site") {
		t.Errorf("%d %s", r.StatusCode, got)
	}
	if page, err := keys.List(t.Context(), "acme", 10, ""); err != nil || len(page.Items) != 0 {
		t.Errorf("%d keys were made, %v", len(page.Items), err)
	}
}

func TestHeaders(t *testing.T) {
	h, _ := newHandler(t)
	framed := *h
	framed.FrameAncestors = []string{"https://app.example.com", "https://www.example.com"}
	const common = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
	for _, path := range []string{"/", "/assets/app.js", "/api/keys", "/nothing.txt", "/tools"} {
		r := do(h, request{path: path})
		if got := r.Header.Get("Content-Security-Policy"); got != common+"'none'; require-trusted-types-for 'script'" {
			t.Errorf("%s: %s", path, got)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Referrer-Policy") != "no-referrer" || r.Header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", path, r.Header)
		}
		r = do(&framed, request{path: path})
		if got := r.Header.Get("Content-Security-Policy"); got != common+"https://app.example.com https://www.example.com; require-trusted-types-for 'script'" || r.Header.Get("X-Frame-Options") != "" {
			t.Errorf("%s: %s", path, got)
		}
		if caching := r.Header.Get("Cache-Control"); (path == "/assets/app.js") != (caching != "no-store") {
			t.Errorf("%s: Cache-Control is %q", path, caching)
		}
	}
	first := do(h, request{path: "/assets/app.js"})
	again := do(h, request{path: "/assets/app.js", header: http.Header{"If-None-Match": {first.Header.Get("ETag")}}})
	if again.StatusCode != http.StatusNotModified || first.Header.Get("ETag") == "" {
		t.Errorf("asked for again: %d", again.StatusCode)
	}
}

func TestValidate(t *testing.T) {
	for _, good := range []Handler{
		{},
		{SourceAddresses: []string{"203.0.113.7", "2001:db8::/64"}},
		{FrameAncestors: []string{"https://app.example.com", "http://localhost:3000", "https://*.example.com", "'self'", "https://[::1]:8443"}},
	} {
		if err := good.Validate(); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []Handler{
		{SourceAddresses: []string{"example.com"}},
		{SourceAddresses: []string{""}},
		{FrameAncestors: []string{"*"}},
		{FrameAncestors: []string{"https://a.example; script-src *"}},
		{FrameAncestors: []string{"app.example.com"}},
		{FrameAncestors: []string{"https://a.example/path"}},
		{FrameAncestors: []string{"https://a.example,https://b.example"}},
		{FrameAncestors: []string{""}},
	} {
		if err := bad.Validate(); err == nil {
			t.Errorf("%v %v may stand", bad.SourceAddresses, bad.FrameAncestors)
		}
	}
}

// Options and the organization appear in the page as text.
func TestPage(t *testing.T) {
	h, _ := newHandler(t)
	plain := text(t, do(h, request{path: "/"}))
	for _, want := range []string{"acme", ">API Keys<", ">Webhooks<", "Generate New Key", "interview.results", "note.finalized", `rel="service-desc" href="api/openapi.json"`} {
		if !strings.Contains(plain, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(plain, "Source addresses") {
		t.Error("the page speaks of source addresses where there are none")
	}
	odd := *h
	odd.SourceAddresses = []string{"203.0.113.7", `<script>alert(1)</script>`}
	odd.Events = []string{"candidate.hired", `"><img src=x>`}
	shown := text(t, do(&odd, request{path: "/"}))
	if strings.Contains(shown, "<script>alert") || strings.Contains(shown, "<img src=x>") || !strings.Contains(shown, "203.0.113.7") || !strings.Contains(shown, "candidate.hired") {
		t.Error("options do not stand as text")
	}
}

// The page stays small, loads nothing from other origins, and has no inline script, style or
// handler.
func TestFiles(t *testing.T) {
	source, err := embedded.ReadFile("page.html")
	if err != nil {
		t.Fatal(err)
	}
	size := len(source)
	for name, f := range files {
		size += len(f.body)
		if f.mediaType == "" {
			t.Errorf("%s has no media type", name)
		}
		for _, sink := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "localStorage", "sessionStorage", "document.cookie"} {
			if strings.Contains(string(f.body), sink) {
				t.Errorf("%s uses %s", name, sink)
			}
		}
	}
	if size >= 150_000 {
		t.Errorf("the page has %d bytes", size)
	}
	for _, bad := range []string{" style=", "<style", " onclick", " onload", "<script>", "javascript:", `src="http`, `src="//`} {
		if strings.Contains(string(source), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
}
