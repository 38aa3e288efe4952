package tests

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// clients returns one client for each version of HTTP.
func clients(t *testing.T, ca *harness.CA) map[string]*http.Client {
	t.Helper()
	out := map[string]*http.Client{}
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		tr := &http.Transport{TLSClientConfig: ca.ClientConfig(), Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(!http2)
		tr.Protocols.SetHTTP2(http2)
		t.Cleanup(tr.CloseIdleConnections)
		out[name] = &http.Client{Transport: tr, Timeout: 20 * time.Second}
	}
	return out
}

// TestVerdicts checks the rows of the table in specification.md, section 5 that need no fault of
// Redis.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	rdb := r.Client(t)
	ca := harness.NewCA(t)
	g := startGateway(t, site{redis: r.URL(), cert: certificate(t, ca), auth: `realm "A \"quoted\" realm"`})

	good := newKey(t, rdb, "acme").secret
	long := "tenzo_pk_" + strings.Repeat("x", 200)
	revoked := newKey(t, rdb, "acme", "revoked_at", now()).secret
	oddly := newKey(t, rdb, "acme", "revoked_at", "yes, it is", "expires_at", "whenever").secret
	expired := newKey(t, rdb, "acme", "expires_at", time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)).secret
	both := newKey(t, rdb, "acme", "revoked_at", now(), "expires_at", time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)).secret
	later := newKey(t, rdb, "acme", "expires_at", time.Now().Add(time.Hour).Format("2006-01-02T15:04:05-07:00")).secret
	unreadable := newKey(t, rdb, "acme", "expires_at", "whenever").secret
	noID := newKey(t, rdb, "acme", "id", "").secret
	noOrg := newKey(t, rdb, "acme", "org_id", "").secret
	oddOrg := newKey(t, rdb, "acme", "org_id", "a b").secret
	extra := newKey(t, rdb, "acme", "scopes", "everything").secret

	const bare = `Bearer realm="A \"quoted\" realm"`
	tests := []struct {
		name      string
		values    []string
		status    int
		code      string
		challenge string // prefix
	}{
		{"bearer", []string{"Bearer " + good}, 200, "", ""},
		{"lower case", []string{"bearer " + good}, 200, "", ""},
		{"upper case", []string{"BEARER " + good}, 200, "", ""},
		{"bare key", []string{good}, 200, "", ""},
		{"two spaces", []string{"Bearer  " + good}, 200, "", ""},
		{"a space at the end", []string{"Bearer " + good + " "}, 200, "", ""},
		{"expires later, in another zone", []string{"Bearer " + later}, 200, "", ""},
		{"a record with private fields", []string{"Bearer " + extra}, 200, "", ""},

		{"nothing", nil, 401, "missing_api_key", bare},
		{"two lines", []string{"Bearer " + good, "Bearer " + good}, 400, "invalid_request", bare + `, error="invalid_request"`},
		{"a tab", []string{"Bearer\t" + good}, 400, "invalid_request", bare + `, error="invalid_request"`},
		{"beyond ASCII", []string{"Bearer " + good + "é"}, 400, "invalid_request", bare + `, error="invalid_request"`},
		{"empty", []string{""}, 401, "missing_api_key", bare},
		{"only the scheme", []string{"Bearer"}, 401, "malformed_api_key", bare + `, error="invalid_token"`},
		{"another scheme", []string{"Basic dGVuem86"}, 401, "malformed_api_key", bare + `, error="invalid_token"`},
		{"no prefix", []string{"Bearer " + strings.TrimPrefix(good, "tenzo_pk_")}, 401, "malformed_api_key", bare + `, error="invalid_token"`},
		{"upper-case prefix", []string{"Bearer TENZO_PK_" + strings.TrimPrefix(good, "tenzo_pk_")}, 401, "malformed_api_key", bare + `, error="invalid_token"`},
		{"cut short", []string{"Bearer tenzo_pk_123456789012345"}, 401, "malformed_api_key", bare + `, error="invalid_token"`},
		{"too long", []string{"Bearer " + long + "x"}, 401, "malformed_api_key", bare + `, error="invalid_token"`},
		{"a character that does not belong", []string{"Bearer " + good + "="}, 401, "malformed_api_key", bare + `, error="invalid_token"`},
		{"a comma list", []string{"Bearer " + good + ", Bearer " + good}, 401, "malformed_api_key", bare + `, error="invalid_token"`},
		{"the scheme twice", []string{"Bearer " + "Bearer " + good}, 401, "malformed_api_key", bare + `, error="invalid_token"`},
		{"quotes", []string{`Bearer "` + good + `"`}, 401, "malformed_api_key", bare + `, error="invalid_token"`},
		{"10 kB", []string{"Bearer tenzo_pk_" + strings.Repeat("x", 10_000)}, 401, "malformed_api_key", bare + `, error="invalid_token"`},
		{"unknown", []string{"Bearer " + long}, 401, "unknown_api_key", bare + `, error="invalid_token"`},
		{"revoked", []string{"Bearer " + revoked}, 401, "revoked_api_key", bare + `, error="invalid_token"`},
		{"revoked somehow, before unreadable", []string{"Bearer " + oddly}, 401, "revoked_api_key", bare + `, error="invalid_token"`},
		{"revoked before expired", []string{"Bearer " + both}, 401, "revoked_api_key", bare + `, error="invalid_token"`},
		{"expired", []string{"Bearer " + expired}, 401, "expired_api_key", bare + `, error="invalid_token"`},
		{"unreadable expiry", []string{"Bearer " + unreadable}, 503, "invalid_key_record", ""},
		{"no id", []string{"Bearer " + noID}, 503, "invalid_key_record", ""},
		{"no organization", []string{"Bearer " + noOrg}, 503, "invalid_key_record", ""},
		{"an ill-formed organization", []string{"Bearer " + oddOrg}, 503, "invalid_key_record", ""},
	}
	for version, client := range clients(t, ca) {
		for _, tt := range tests {
			t.Run(version+"/"+tt.name, func(t *testing.T) {
				for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost} {
					req, err := http.NewRequest(method, g.url()+"/path?api_key="+good, nil)
					must(t, err)
					if tt.values != nil {
						req.Header["Authorization"] = tt.values
					}
					a, err := do(client, req)
					if err != nil {
						t.Fatalf("%s: %v", method, err)
					}
					if a.Proto != version || a.StatusCode != tt.status {
						t.Fatalf("%s: answered %s %d: %s", method, a.Proto, a.StatusCode, a.body)
					}
					if tt.status == http.StatusOK {
						continue
					}
					if got := a.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, tt.challenge) || (tt.challenge == "") != (got == "") ||
						tt.challenge == bare && got != bare {
						t.Errorf("%s: WWW-Authenticate is %q", method, got)
					}
					if got := a.Header.Get("Cache-Control"); got != "no-store" {
						t.Errorf("%s: Cache-Control is %q", method, got)
					}
					if method == http.MethodHead {
						if len(a.body) != 0 {
							t.Errorf("HEAD has a body: %s", a.body)
						}
						continue
					}
					if p := a.problem(t); p.Code != tt.code || p.Title == "" || p.Detail == "" {
						t.Errorf("%s: the body is %s", method, a.body)
					}
				}
			})
		}
	}
}

// A header above the server's limit never reaches a handler.
func TestHugeHeader(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	g := startGateway(t, site{redis: r.URL()})
	if a, err := g.get("tenzo_pk_" + strings.Repeat("x", 100_000)); err != nil || a.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("answered %v, %v", a.Response, err)
	}
}

// A key is refused from its expiry on, cached or not, and without an announcement.
func TestExpiryNeedsNoAnnouncement(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	g := startGateway(t, site{redis: r.URL()})
	expiry := time.Now().Add(2 * time.Second)
	k := newKey(t, r.Client(t), "acme", "expires_at", expiry.UTC().Format(time.RFC3339Nano))
	must(t, g.want(k.secret, 200))
	for {
		before := time.Now()
		a, err := g.get(k.secret)
		must(t, err)
		after := time.Now()
		switch {
		case before.After(expiry) && a.StatusCode != 401:
			t.Fatalf("answered %d %v after its expiry", a.StatusCode, before.Sub(expiry))
		case after.Before(expiry) && a.StatusCode != 200:
			t.Fatalf("answered %d %v before its expiry", a.StatusCode, expiry.Sub(after))
		}
		if before.After(expiry) {
			return
		}
	}
}

// With pass_errors a refusal goes to the site's handle_errors, with the same status and headers.
func TestPassErrors(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	g := startGateway(t, site{
		redis: r.URL(), auth: "pass_errors",
		before: "handle_errors {\n respond \"mine {err.status_code}\"\n}",
	})
	a, err := g.get("")
	must(t, err)
	if string(a.body) != "mine 401" || a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") != `Bearer realm="Tenzo Public API"` ||
		a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("answered %d %v: %s", a.StatusCode, a.Header, a.body)
	}
}

// Unknown keys are rate limited by client address. Cached keys of the same client are still
// admitted.
func TestUnknownKeyLimit(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	// Before the gateway starts, which drops a key from its cache when its creation is announced.
	good := newKey(t, r.Client(t), "acme")
	g := startGateway(t, site{
		redis: r.URL(), tenzo: "keys {\n unknown_key_burst 5\n unknown_key_rate 0.5\n}",
		global: "servers {\n trusted_proxies static 127.0.0.0/8\n}",
	})
	must(t, g.want(good.secret, 200))

	from := func(client, secret string) answer {
		req, err := http.NewRequest(http.MethodGet, g.url()+"/", nil)
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+secret)
		req.Header.Set("X-Forwarded-For", client)
		a, err := do(plain, req)
		must(t, err)
		return a
	}
	unknown := func(client string) answer { return from(client, makeKey("acme").secret) }
	flood := func(client string) {
		t.Helper()
		for range 5 {
			if a := unknown(client); a.StatusCode != 401 {
				t.Fatalf("within the burst answered %d: %s", a.StatusCode, a.body)
			}
		}
		harness.Eventually(t, 5*time.Second, func() error { // one in two seconds still passes
			a := unknown(client)
			if a.StatusCode == 429 {
				if p := a.problem(t); p.Code != "too_many_unknown_keys" || a.Header.Get("Retry-After") == "" {
					t.Errorf("answered %v: %s", a.Header, a.body)
				}
				return nil
			}
			return errStatus(a)
		})
	}
	flood("203.0.113.7")
	if a := from("203.0.113.7", good.secret); a.StatusCode != 200 {
		t.Errorf("a key that is held is answered %d behind a flooding address", a.StatusCode)
	}
	if a := unknown("203.0.113.8"); a.StatusCode != 401 {
		t.Errorf("another address is answered %d", a.StatusCode)
	}
	flood("2001:db8:1:2::1")
	// Of the same /64.
	harness.Eventually(t, 5*time.Second, func() error { return errStatusUnless(unknown("2001:db8:1:2:ffff::1"), 429) })
	if a := unknown("2001:db8:1:3::1"); a.StatusCode != 401 {
		t.Errorf("an address of another /64 is answered %d", a.StatusCode)
	}
	// The rate: after some seconds there is one more read.
	harness.Eventually(t, 10*time.Second, func() error { return errStatusUnless(unknown("203.0.113.7"), 401) })
}

// With require_checksum a key whose checksum is wrong is refused without asking Redis.
func TestRequireChecksum(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	g := startGateway(t, site{redis: r.URL(), tenzo: "keys {\n require_checksum\n}"})
	foreign := newKey(t, r.Client(t), "acme") // created elsewhere, without a checksum
	a, err := g.get(foreign.secret)
	must(t, err)
	if p := a.problem(t); p.Code != "malformed_api_key" {
		t.Errorf("answered %s", a.body)
	}
	own := createKey(t, r.URL(), "acme")
	must(t, g.want(own.secret, 200))
}
