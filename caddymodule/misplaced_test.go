package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestMisplacedKeyIsNamed(t *testing.T) {
	key := createKey(t, startStore(t), "acme")
	addr := harness.FreeAddr(t)
	load(t, fmt.Sprintf(`{
	admin off
}
http://%s {
	handle_path /old/* {
		rewrite * /new?
		tenzo_auth
		respond "let in"
	}
	handle {
		tenzo_auth
		respond "let in"
	}
}`, addr))
	for _, c := range []struct {
		name, target string
		header       http.Header
		place        string // empty: a plain missing_api_key
	}{
		{"nowhere", "/?x=1", nil, ""},
		{"no whole key", "/?k=tenzo_pk_short", nil, ""},
		{"query", "/?api_key=KEY", nil, "the query of the URL"},
		{"encoded query", "/?api_key=tenzo%5Fpk%5F" + strings.TrimPrefix(key.Secret, "tenzo_pk_"), nil, "the query of the URL"},
		{"path", "/v1/KEY/notes", nil, "the path of the URL"},
		{"rewritten", "/old/x?k=KEY", nil, "the query of the URL"},
		{"cookie", "/", http.Header{"Cookie": {"a=b; key=KEY"}}, "a cookie"},
		{"header", "/", http.Header{"X-Api-Key": {"KEY"}}, "the header X-Api-Key"},
		{"header that is removed", "/", http.Header{"X-Tenzo-Key": {"KEY"}}, "the header X-Tenzo-Key"},
		{"beside an empty Authorization", "/", http.Header{"Authorization": {" "}, "X-Api-Key": {"KEY"}}, "the header X-Api-Key"},
		{"long name of a header", "/", http.Header{"X-" + strings.Repeat("a", 100): {"KEY"}}, "a header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
				"http://"+addr+strings.ReplaceAll(c.target, "KEY", key.Secret), nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range c.header {
				request.Header[name] = []string{strings.ReplaceAll(values[0], "KEY", key.Secret)}
			}
			response, err := client(t).Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body := readAll(t, response)
			var problem struct{ Code, Detail string }
			if err := json.Unmarshal([]byte(body), &problem); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != 401 || problem.Code != "missing_api_key" ||
				response.Header.Get("Www-Authenticate") != `Bearer realm="Tenzo Public API"` {
				t.Errorf("%d %q %v", response.StatusCode, problem.Code, response.Header)
			}
			if seen := strings.Contains(problem.Detail, "was seen in "+c.place) && strings.Contains(problem.Detail, "replace"); seen != (c.place != "") {
				t.Errorf("the detail is %q", problem.Detail)
			}
			if strings.Contains(body, key.Secret) {
				t.Error("the answer shows the key")
			}
		})
	}
	// With credentials, a key elsewhere changes nothing.
	if response, _ := get(t, client(t), "http://"+addr+"/?k="+key.Secret, key.Secret); response.StatusCode != 200 {
		t.Errorf("answered %d", response.StatusCode)
	}
}

// "401 since 10:02" can be answered from the access log alone.
func TestAccessLogSaysWhyAndWhose(t *testing.T) {
	r := startStore(t)
	keys := apikey.NewService(openStore(t, r.URL()))
	revoked, damaged := createKey(t, r, "acme"), createKey(t, r, "acme")
	if _, _, err := keys.Revoke(t.Context(), "acme", revoked.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.Client(t).HSet(t.Context(), "tenzo:key:"+apikey.Hash(damaged.Secret), "expires_at", "?").Err(); err != nil {
		t.Fatal(err)
	}
	expiring, err := keys.Create(t.Context(), "acme", apikey.Params{Name: "short", ExpiresAt: time.Now().Add(2 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	good := createKey(t, r, "acme")
	addr, file := harness.FreeAddr(t), filepath.Join(t.TempDir(), "access.log")
	load(t, fmt.Sprintf(`{
	admin off
	tenzo {
		keys {
			unknown_key_burst 2
		}
	}
}
http://%s {
	log {
		output file %s
	}
	tenzo_auth
	respond "let in"
}`, addr, file))
	c := client(t)
	hint := func(s string) string { return "tenzo_pk_..." + s[len(s)-4:] }
	unknown := func(i int) string { return fmt.Sprintf("tenzo_pk_unknown%dabcdefghijkl", i) }
	var want []map[string]any
	ask := func(target, authorization string, fields ...string) {
		t.Helper()
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+target, nil)
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		response, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = readAll(t, response)
		w := map[string]any{}
		for i := 0; i < len(fields); i += 2 {
			w[fields[i]] = fields[i+1]
		}
		want = append(want, w)
	}
	// It has expired; before that, its use fills the cache.
	harness.Eventually(t, 10*time.Second, func() error {
		response, body := get(t, c, "http://"+addr, expiring.Secret)
		known := map[string]any{"key_id": expiring.ID, "org_id": "acme"}
		if response.StatusCode == 401 {
			known["refusal"] = "expired_api_key"
		}
		want = append(want, known)
		if response.StatusCode != 401 {
			return fmt.Errorf("%d %s", response.StatusCode, body)
		}
		return nil
	})
	ask("/", "Bearer "+expiring.Secret, "refusal", "expired_api_key", "key_id", expiring.ID, "org_id", "acme")
	ask("/", "Bearer "+good.Secret, "key_id", good.ID, "org_id", "acme")
	for range 2 { // from Redis and from memory
		ask("/", "Bearer "+revoked.Secret, "refusal", "revoked_api_key", "key_id", revoked.ID, "org_id", "acme")
		ask("/", "Bearer "+damaged.Secret, "refusal", "invalid_key_record", "key_id", damaged.ID, "org_id", "acme")
		ask("/", "Bearer "+unknown(1), "refusal", "unknown_api_key", "hint", hint(unknown(1)))
	}
	ask("/", "Bearer "+unknown(2), "refusal", "unknown_api_key", "hint", hint(unknown(2)))
	ask("/", "Bearer "+unknown(3), "refusal", "too_many_unknown_keys", "hint", hint(unknown(3)))
	ask("/", "", "refusal", "missing_api_key")
	ask("/?k="+unknown(4), "", "refusal", "missing_api_key", "hint", hint(unknown(4)))
	ask("/", "Basic dXNlcjpwYXNz", "refusal", "malformed_api_key")
	ask("/", "Bearer tenzo_pk_cutshort9", "refusal", "malformed_api_key", "hint", "tenzo_pk_...ort9")
	ask("/", "Token "+good.Secret, "refusal", "malformed_api_key", "hint", hint(good.Secret))
	stopCaddy(t)

	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	for line := range strings.Lines(string(content)) {
		var all map[string]any
		if err := json.Unmarshal([]byte(line), &all); err != nil {
			t.Fatal(err)
		}
		entry := map[string]any{}
		for _, field := range []string{"refusal", "key_id", "org_id", "hint"} {
			if value, ok := all[field]; ok {
				entry[field] = value
			}
		}
		got = append(got, entry)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStripRemovesOwnCredentialsOnly(t *testing.T) {
	t.Setenv("TENZO_REDIS_URL", "redis://127.0.0.1:1")
	up, addr := startUpstream(t), harness.FreeAddr(t)
	load(t, identitySite(addr, "tenzo_strip", up.addr()))
	const key = "tenzo_pk_0123456789abcdef"
	for _, c := range []struct{ sent, kept []string }{
		{[]string{"Bearer " + key}, nil},
		{[]string{"bearer   " + key + " "}, nil},
		{[]string{key}, nil},
		{[]string{"Token " + key}, nil},
		{[]string{"Bearer " + key + "," + key}, nil},
		{[]string{"Bearer other", "Bearer " + key}, []string{"Bearer other"}},
		{[]string{"Bearer other"}, []string{"Bearer other"}},
		{[]string{"Basic dXNlcjpwYXNz"}, []string{"Basic dXNlcjpwYXNz"}},
		{[]string{"Bearer tenzo_pk_short"}, []string{"Bearer tenzo_pk_short"}},
		{[]string{"Bearer tenzo_sk_0123456789abcdef"}, []string{"Bearer tenzo_sk_0123456789abcdef"}},
	} {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr, nil)
		request.Header["Authorization"] = c.sent
		request.Header.Set("X-Api-Key", "theirs")
		response, err := client(t).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = readAll(t, response)
		saw := up.last(t)
		if diff := cmp.Diff(c.kept, saw.header["Authorization"]); diff != "" || saw.header.Get("X-Api-Key") != "theirs" {
			t.Errorf("%q: %s %v", c.sent, diff, saw.header)
		}
	}
	answer := raw(t, addr, lines("POST / HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", "Connection: close", "Trailer: Authorization", "",
		"1", "x", "0", "Authorization: Bearer "+key, "", ""))
	if saw := up.last(t); !strings.HasPrefix(answer, "HTTP/1.1 200") || saw.trailer.Get("Authorization") != "" {
		t.Errorf("%q %v", answer, saw.trailer)
	}
}

func TestWarnsOfForgedAddresses(t *testing.T) {
	startStore(t)
	for name, c := range map[string]struct {
		servers string
		warns   int
	}{
		"no trusted proxies": {"", 0},
		"not strict":         {"trusted_proxies static private_ranges", 1},
		"strict":             {"trusted_proxies static private_ranges\n trusted_proxies_strict", 0},
		"another header":     {"trusted_proxies static private_ranges\n client_ip_headers CF-Connecting-IP", 0},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "log")
			load(t, fmt.Sprintf(`{
	admin off
	log {
		output file %s
	}
	servers {
		%s
	}
}
http://%s {
	tenzo_auth /a
	tenzo_auth /b
	respond "let in"
}`, file, c.servers, harness.FreeAddr(t)))
			stopCaddy(t)
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(content), "add 'trusted_proxies_strict'"); n != c.warns {
				t.Errorf("%d warnings in %s", n, content)
			}
		})
	}
}
