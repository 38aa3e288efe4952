package caddymodule

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestDeveloperTools(t *testing.T) {
	key := createKey(t, startStore(t), "acme")
	open, behind, named, mounted := harness.FreeAddr(t), harness.FreeAddr(t), harness.FreeAddr(t), harness.FreeAddr(t)
	load(t, fmt.Sprintf(`{
	admin off
}
http://%s {
	vars org acme
	tenzo_developer_tools {
		org {vars.org}
		frame_ancestors https://app.example.com
	}
}
http://%s {
	tenzo_auth
	vars org acme
	tenzo_developer_tools {
		org {vars.org}
	}
}
http://%s {
	tenzo_developer_tools {
		org {header.X-Org} trusted
	}
}
http://%s {
	handle_path /settings/tools/* {
		vars org acme
		tenzo_developer_tools {
			org {vars.org}
		}
	}
}`, open, behind, named, mounted))
	c := client(t)

	if response, body := get(t, c, "http://"+open+"/api/keys", ""); response.StatusCode != http.StatusOK || !strings.Contains(body, key.ID) {
		t.Errorf("the organization's keys: %s %q", response.Status, body)
	}
	response, body := get(t, c, "http://"+open+"/", "")
	if policy := response.Header.Get("Content-Security-Policy"); response.StatusCode != http.StatusOK || !strings.Contains(body, "<html") ||
		!strings.Contains(policy, "frame-ancestors https://app.example.com") {
		t.Errorf("the page: %s with the policy %q", response.Status, policy)
	}
	if response, body := get(t, c, "http://"+mounted+"/settings/tools/api/keys", ""); response.StatusCode != http.StatusOK || !strings.Contains(body, key.ID) {
		t.Errorf("mounted below a path: %s %q", response.Status, body)
	}

	// Requests that an API key admitted are refused on every path.
	for _, path := range []string{"/", "/api/keys", "/api/openapi.json", "/nonsense"} {
		if response, _ := get(t, c, "http://"+behind+path, key.Secret); response.StatusCode != http.StatusForbidden {
			t.Errorf("behind tenzo_auth, %s: %s", path, response.Status)
		}
	}
	for _, org := range []string{"", "a b", "a/../b", strings.Repeat("x", 129), "{http.vars.org}"} {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+named+"/api/keys", nil)
		request.Header.Set("X-Org", org)
		response, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if _ = readAll(t, response); response.StatusCode != http.StatusForbidden {
			t.Errorf("for the organization %q: %s", org, response.Status)
		}
	}
}
