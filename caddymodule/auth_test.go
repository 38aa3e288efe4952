package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestAuthIdentityCannotBeForged(t *testing.T) {
	key := createKey(t, startStore(t), "acme")
	up, addr := startUpstream(t), harness.FreeAddr(t)
	load(t, identitySite(addr, "tenzo_auth", up.addr()))
	for _, f := range forgeries {
		t.Run(f.name, func(t *testing.T) {
			answer := raw(t, addr, forged(f.lines, "Authorization: Bearer "+key.Secret))
			if !strings.HasPrefix(answer, "HTTP/1.1 200") {
				t.Fatalf("answered %q", answer)
			}
			saw := up.last(t)
			checkIdentity(t, saw, "acme", key.ID)
			if saw.header["Authorization"] != nil || saw.trailer["Authorization"] != nil {
				t.Error("the upstream got credentials")
			}
		})
	}
	t.Run("http2", func(t *testing.T) {
		forgeHTTP2(t, "http://"+addr, key.Secret, func() { checkIdentity(t, up.last(t), "acme", key.ID) })
	})
}

func TestAuthForwardsAuthorization(t *testing.T) {
	key := createKey(t, startStore(t), "acme")
	up, addr := startUpstream(t), harness.FreeAddr(t)
	load(t, identitySite(addr, "tenzo_auth {\nforward_authorization\n}", up.addr()))
	// A client cannot remove the header by naming it in Connection, either.
	for _, connection := range []string{"close", "close, Authorization"} {
		raw(t, addr, lines("GET / HTTP/1.1", "Host: gateway", "Connection: "+connection, "Authorization: bearer  "+key.Secret, "", ""))
		if got := up.last(t).header.Get("Authorization"); got != "bearer  "+key.Secret {
			t.Errorf("with Connection: %s the upstream got %d characters of Authorization", connection, len(got))
		}
	}
}

func TestAuthPlaceholders(t *testing.T) {
	key := createKey(t, startStore(t), "acme")
	addr := harness.FreeAddr(t)
	load(t, fmt.Sprintf(`{
	admin off
}
http://%s {
	tenzo_auth
	respond "{http.auth.user.id} {http.auth.user.org_id} {http.auth.user.key_name}"
}`, addr))
	if response, body := get(t, client(t), "http://"+addr, key.Secret); response.StatusCode != http.StatusOK || body != key.ID+" acme test" {
		t.Errorf("answered %s %q", response.Status, body)
	}
}

func TestAuthRefusals(t *testing.T) {
	startStore(t)
	addr, passing := harness.FreeAddr(t), harness.FreeAddr(t)
	load(t, fmt.Sprintf(`{
	admin off
}
http://%s {
	tenzo_auth {
		realm "The \"API\""
	}
	respond "let in"
	handle_errors {
		respond "must not be asked"
	}
}
http://%s {
	tenzo_auth {
		realm "The \"API\""
		pass_errors
	}
	respond "let in"
	handle_errors {
		respond "own: {err.status_code} {vars.tenzo_refusal}"
	}
}`, addr, passing))
	for _, c := range []struct {
		name, code string
		status     int
		values     []string
	}{
		{"none", "missing_api_key", 401, nil},
		{"two lines", "invalid_request", 400, []string{"Bearer a", "Bearer b"}},
		{"other scheme", "malformed_api_key", 401, []string{"Basic dXNlcjpwYXNz"}},
		{"unknown", "unknown_api_key", 401, []string{"Bearer tenzo_pk_0123456789abcdef"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ask := func(addr string) (*http.Response, string) {
				request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
				request.Header["Authorization"] = c.values
				response, err := client(t).Do(request)
				if err != nil {
					t.Fatal(err)
				}
				return response, readAll(t, response)
			}
			response, body := ask(addr)
			var problem struct {
				Code   string
				Status int
				Detail string
			}
			if err := json.Unmarshal([]byte(body), &problem); err != nil {
				t.Fatalf("%v in %q", err, body)
			}
			if problem.Code != c.code || problem.Status != c.status || response.StatusCode != c.status || problem.Detail == "" ||
				response.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("answered %s %v with %+v", response.Status, response.Header, problem)
			}
			if challenge := response.Header.Get("Www-Authenticate"); !strings.HasPrefix(challenge, `Bearer realm="The \"API\""`) {
				t.Errorf("challenge %q", challenge)
			}

			passed, body := ask(passing)
			if want := fmt.Sprintf("own: %d %s", c.status, c.code); passed.StatusCode != c.status || body != want {
				t.Errorf("with pass_errors answered %s %q, want %q", passed.Status, body, want)
			}
			for _, name := range []string{"Www-Authenticate", "Cache-Control", "Retry-After"} {
				if diff := cmp.Diff(response.Header[name], passed.Header[name]); diff != "" {
					t.Errorf("with pass_errors %s differs:\n%s", name, diff)
				}
			}
		})
	}
}

func TestAuthErrorRoutesSeeNoClaims(t *testing.T) {
	startStore(t)
	up, addr := startUpstream(t), harness.FreeAddr(t)
	load(t, fmt.Sprintf(`{
	admin off
}
http://:%s {
	bind 127.0.0.1
	tenzo_auth {
		pass_errors
	}
	respond "let in"
	handle_errors {
		reverse_proxy %s
	}
}`, port(addr), up.addr()))
	raw(t, addr, lines("GET / HTTP/1.1", "Host: gateway", "Connection: close, X-Tenzo-Org-Id", "X-Tenzo-Org-Id: evil",
		"Authorization: Bearer tenzo_pk_0123456789abcdef", "", ""))
	saw := up.last(t)
	checkIdentity(t, saw, "", "")
	if saw.header["Authorization"] != nil {
		t.Error("the error route got the credential")
	}
}

func TestSitesShareOneApp(t *testing.T) {
	key := createKey(t, startStore(t), "acme")
	first, second := harness.FreeAddr(t), harness.FreeAddr(t)
	load(t, fmt.Sprintf(`{
	admin off
}
http://%s {
	tenzo_auth
	respond "first"
}
http://%s {
	tenzo_auth
	respond "second"
	tenzo_health
}`, first, second))
	awaitFollower(t) // its first contact makes keys that were read before be read again
	before := counter(t, "tenzo_auth_lookups_total", "source", "redis")
	for addr, want := range map[string]string{first: "first", second: "second"} {
		if response, body := get(t, client(t), "http://"+addr, key.Secret); response.StatusCode != 200 || body != want {
			t.Errorf("answered %s %q", response.Status, body)
		}
	}
	if n := counter(t, "tenzo_auth_lookups_total", "source", "redis") - before; n != 1 {
		t.Errorf("the key was read %v times, want once for both sites", n)
	}
}
