package api

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

func TestUnknownPathsAndMethods(t *testing.T) {
	e := newEnv(t)
	for _, path := range []string{
		"/tenzo/", "/tenzo/orgs/acme", "/tenzo/orgs/acme/", "/tenzo/orgs/acme/keys/", "/tenzo/orgs/acme/keys/a/b", "/tenzo/keys", "/tenzo/orgs/acme/dead-letters",
		"/tools/acme/", "/tools/acme/nothing", "/tools/acme/keys/", "/tools/acme/events", "/tools/acme/orgs/acme/keys", "/tools/acme/tenzo/orgs/acme/keys", "/tools/acme/webhook/secret",
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			e.refused(http.StatusNotFound, "not_found", "", method, path, "")
		}
	}
	for path, allow := range map[string]string{
		"/tenzo/orgs/acme/keys": "GET, HEAD, POST", "/tools/acme/keys": "GET, HEAD, POST", "/tools/acme/keys/x": "DELETE",
		"/tools/acme/webhook": "DELETE, GET, HEAD, PATCH, PUT", "/tools/acme/webhook/test": "POST", "/tools/acme/webhook/deliveries": "GET, HEAD",
		"/tenzo/orgs/acme/events": "POST", "/tenzo/dead-letters": "GET, HEAD", "/tenzo/dead-letters/replay": "POST", "/tenzo/openapi.json": "GET, HEAD",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "SURPRISE"} {
			if strings.Contains(allow, method) {
				continue
			}
			e.refused(http.StatusMethodNotAllowed, "method_not_allowed", "", method, path, "")
			if got := e.call(method, path, "").header.Get("Allow"); got != allow {
				t.Errorf("%s %s: Allow is %q, not %q", method, path, got, allow)
			}
		}
	}
	if a := e.expect(http.StatusOK, "HEAD", "/tools/acme/keys", ""); len(a.body) != 0 {
		t.Errorf("HEAD has a body: %q", a.body)
	}
}

// The admin surface answers on loopback, on unix sockets, and over TLS with a client certificate.
// An unknown address counts as another machine.
func TestAdminIsLocal(t *testing.T) {
	e := newEnv(t)
	status := func(local net.Addr, state *tls.ConnectionState) int {
		r := httptest.NewRequest(http.MethodGet, "/tenzo/openapi.json", nil)
		r.TLS = state
		if local != nil {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
		}
		w := httptest.NewRecorder()
		e.api.Admin().ServeHTTP(w, r)
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Error("an answer may be cached")
		}
		return w.Code
	}
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 2019} }
	mutual := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	for name, c := range map[string]struct {
		local net.Addr
		state *tls.ConnectionState
		want  int
	}{
		"loopback":    {tcp("127.0.0.1"), nil, 200},
		"IPv6":        {tcp("::1"), nil, 200},
		"unix":        {&net.UnixAddr{Name: "/run/admin.sock", Net: "unix"}, nil, 200},
		"private":     {tcp("10.0.0.7"), nil, 403},
		"public":      {tcp("2001:db8::1"), nil, 403},
		"mapped":      {tcp("::ffff:127.0.0.1"), nil, 200},
		"unknown":     {nil, nil, 403},
		"TLS":         {tcp("10.0.0.7"), &tls.ConnectionState{}, 403},
		"mutual TLS":  {tcp("10.0.0.7"), mutual, 200},
		"unspecified": {tcp("0.0.0.0"), nil, 403},
	} {
		if got := status(c.local, c.state); got != c.want {
			t.Errorf("%s: %d, not %d", name, got, c.want)
		}
	}
}

// calls has one valid request for every operation except openapi.json, which needs no store.
var calls = []struct{ method, path, body string }{
	{"GET", "keys", ""},
	{"POST", "keys", `{"name": "x"}`},
	{"DELETE", "keys/key_x", ""},
	{"GET", "webhook", ""},
	{"PUT", "webhook", `{"url": "https://a.example/"}`},
	{"PATCH", "webhook", `{"active": true}`},
	{"DELETE", "webhook", ""},
	{"GET", "webhook/deliveries", ""},
	{"GET", "dead-letters", ""},
	{"POST", "dead-letters/replay", `{"all": true}`},
	{"POST", "events", `{"event": "note.finalized", "payload": {}}`},
}

// paths returns the full paths of a path in calls.
func paths(path string) []string {
	switch {
	case strings.HasPrefix(path, "dead-letters"):
		return []string{"/tenzo/" + path, "/tools/acme/" + path}
	case path == "events":
		return []string{"/tenzo/orgs/acme/" + path}
	default:
		return []string{"/tenzo/orgs/acme/" + path, "/tools/acme/" + path}
	}
}

func TestRedisDown(t *testing.T) {
	e := newEnv(t)
	e.test = func(string, string) (dispatcher.TestResult, error) {
		return dispatcher.TestResult{}, errors.New("reading the webhook: connection refused")
	}
	e.redis.Kill()
	for _, c := range calls {
		for _, path := range paths(c.path) {
			e.refused(http.StatusServiceUnavailable, "store_unavailable", "", c.method, path, c.body)
		}
	}
	e.refused(http.StatusServiceUnavailable, "store_unavailable", "", "POST", "/tools/acme/webhook/test", `{"event": "note.finalized"}`)
	a := e.call("GET", "/tools/acme/keys", "")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if strings.Contains(string(a.body), e.redis.Addr()) {
		t.Errorf("the answer tells where Redis is: %s", a.body)
	}
	if n := strings.Count(e.log.String(), "api request failed"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
}

// Without the marker, the store creates and sets nothing; revoking works.
func TestUnmarkedStore(t *testing.T) {
	e := newEnv(t)
	k, err := e.keys.Create(t.Context(), "acme", apikey.Params{Name: "before"})
	e.must(err)
	e.must(e.raw.Del(t.Context(), e.store.Names().Schema()).Err())
	for _, c := range calls {
		if c.method == "GET" || c.method == "DELETE" || c.path == "dead-letters/replay" {
			continue
		}
		for _, path := range paths(c.path) {
			e.refused(http.StatusServiceUnavailable, "store_not_initialized", "", c.method, path, c.body)
			if a := e.call(c.method, path, c.body); !strings.Contains(string(a.body), "init") || a.header.Get("Retry-After") == "" {
				t.Errorf("%s %s: %s", c.method, path, a.body)
			}
		}
	}
	e.expect(http.StatusOK, "DELETE", "/tools/acme/keys/"+k.ID, "")
}
