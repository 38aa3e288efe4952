package devtools

import (
	"strings"
	"testing"
)

// The target of any path is a suffix of it; it is the page only if it can be nothing else.
func FuzzLocate(f *testing.F) {
	for _, seed := range []string{"/", "", "/api/keys", "/a/api/keys/x", "/api/api/keys", "/assets/app.js", "//", "/api/", "/a.b/c", "/%2e%2e/api/webhook", "/api/keys/api/keys", "/api/orgs/other/webhook", "/api/api/nothing/keys", "/v1.2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := locate(path)
		switch {
		case !strings.HasSuffix("/"+path, got.name):
			t.Errorf("%q leads to %+v", path, got)
		case got.api && got.name == "":
			t.Errorf("%q leads to an API path without a name", path)
		case got.api && !strings.HasSuffix("/"+path, "/api/"+got.name):
			t.Errorf("%q leads to %q, which does not stand behind api/", path, got.name)
		case got == target{} && strings.HasSuffix(path, "/api/keys"):
			t.Errorf("%q leads to the page", path)
		}
	})
}
