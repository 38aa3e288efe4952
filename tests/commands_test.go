package tests

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestKeysCommands creates, lists and revokes keys with the commands.
func TestKeysCommands(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	run := func(args ...string) harness.Result { return command(t, r.URL(), args...) }

	wantRefusal(t, run("keys", "create", "--org", "acme", "--name", "n"), "init")
	if c := run("init", "--json"); c.Status != 0 || !json.Valid([]byte(c.Stdout)) {
		t.Fatalf("init: %+v", c)
	}
	for names, args := range map[string][]string{
		"org":        {"keys", "create", "--name", "n"},
		"org ":       {"keys", "list", "--org", "a b"},
		"name":       {"keys", "create", "--org", "acme"},
		"name ":      {"keys", "create", "--org", "acme", "--name", strings.Repeat("n", 101)},
		"expires":    {"keys", "create", "--org", "acme", "--name", "n", "--expires", "2020-01-01T00:00:00Z"},
		"exp":        {"keys", "create", "--org", "acme", "--name", "n", "--expires", "soon"},
		"nonsense":   {"keys", "nonsense"},
		"--nonsense": {"keys", "list", "--org", "acme", "--nonsense"},
		"":           {"keys", "revoke", "no-such-key"},
	} {
		wantRefusal(t, run(args...), strings.TrimSpace(names))
	}

	// Human output shows the key once, with how to use it.
	shown := run("keys", "create", "--org", "acme", "--name", "Production")
	secret := keyText.FindString(shown.Stdout)
	if shown.Status != 0 || secret == "" || !strings.Contains(shown.Stdout, "Authorization: Bearer") {
		t.Errorf("keys create: %+v", shown)
	}
	first := createKey(t, r.URL(), "acme", "--expires", "90d")
	second := createKey(t, r.URL(), "acme", "--expires", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	createKey(t, r.URL(), "other")

	items := list(t, r.URL(), "acme")
	if len(items) != 3 || items[0].ID != second.id || items[1].ID != first.id || items[2].Name != "Production" {
		t.Fatalf("not listed newest first: %+v", items)
	}
	if items[0].Status != "active" || items[0].Hint != hint(second.secret) || items[0].OrgID != "acme" || items[0].UsageCount != 0 {
		t.Errorf("listed as %+v", items[0])
	}
	if at := items[1].ExpiresAt; at == nil || time.Until(*at) < 89*24*time.Hour || time.Until(*at) > 90*24*time.Hour {
		t.Errorf("90d expires at %v", at)
	}
	for range 2 { // a second revocation changes nothing
		if c := run("keys", "revoke", first.id); c.Status != 0 {
			t.Errorf("keys revoke: %s", c.Stderr)
		}
	}
	items = list(t, r.URL(), "acme")
	if items[1].Status != "revoked" || items[1].RevokedAt == nil {
		t.Errorf("listed as %+v", items[1])
	}
	table := run("keys", "list", "--org", "acme")
	for _, text := range []string{"Production", "revoked", hint(first.secret)} {
		if table.Status != 0 || !strings.Contains(table.Stdout, text) {
			t.Errorf("the table lacks %q:\n%s", text, table.Stdout)
		}
	}

	// The whole key is stored nowhere.
	rdb := r.Client(t)
	keys, err := rdb.Keys(t.Context(), "*").Result()
	must(t, err)
	for _, name := range keys {
		dump, err := rdb.Dump(t.Context(), name).Result()
		must(t, err)
		for _, secret := range []string{secret, first.secret, second.secret} {
			if strings.Contains(name+dump, strings.TrimPrefix(secret, "tenzo_pk_")) {
				t.Errorf("Redis holds a whole key at %s", name)
			}
		}
	}
	for _, text := range []string{table.Stdout, table.Stderr, run("keys", "list", "--org", "acme", "--json").Stdout} {
		if keyText.MatchString(text) {
			t.Error("a list shows a whole key")
		}
	}

	// The fields that other programs rely on.
	fields, err := rdb.HKeys(t.Context(), "tenzo:key:"+first.hash).Result()
	must(t, err)
	for _, field := range []string{"id", "org_id", "name", "hint", "created_at", "expires_at", "revoked_at"} {
		if !slices.Contains(fields, field) {
			t.Errorf("the record lacks %s: %v", field, fields)
		}
	}
	if got, err := rdb.Get(t.Context(), "tenzo:key-id:"+first.id).Result(); err != nil || got != first.hash {
		t.Errorf("key-id says %q, %v", got, err)
	}
	if n, err := rdb.ZCard(t.Context(), "tenzo:org:acme:keys").Result(); err != nil || n != 3 {
		t.Errorf("the organization's index holds %d, %v", n, err)
	}
}

// Commands also read the URL from a flag, and from a file if it holds a password. No command starts
// an embedded server.
func TestCommandsFindRedis(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t, "--requirepass", "hunter2-hunter2")
	file := scratch(t, "url", r.URLAs("", "hunter2-hunter2")+"\n")
	if c := harness.RunGateway(t, nil, "", "init", "--redis", "@"+file); c.Status != 0 {
		t.Errorf("init: %s", c.Stderr)
	}
	nowhere := "127.0.0.1:" + strings.TrimPrefix(harness.FreeAddr(t), "127.0.0.1:")
	c := harness.RunGateway(t, []string{"TENZO_EMBEDDED_ADDR=" + nowhere}, "", "keys", "list", "--org", "acme")
	wantRefusal(t, c, "")
}

// Without TENZO_REDIS_URL and without a `redis` line, the gateway does not start: a missing
// variable never leads to a store in memory.
func TestMissingRedisURL(t *testing.T) {
	t.Parallel()
	file := scratch(t, "Caddyfile", "http://127.0.0.1:"+strings.TrimPrefix(harness.FreeAddr(t), "127.0.0.1:")+" {\n tenzo_auth\n respond ok\n}\n")
	c := harness.RunGateway(t, nil, "", "run", "--config", file, "--adapter", "caddyfile")
	if c.Status == 0 || !strings.Contains(c.Stderr, "TENZO_REDIS_URL") {
		t.Errorf("ended with %d: %s", c.Status, c.Stderr)
	}
	c = harness.RunGateway(t, nil, "", "validate", "--config", file, "--adapter", "caddyfile")
	if c.Status == 0 || !strings.Contains(c.Stderr, "TENZO_REDIS_URL") {
		t.Errorf("validate ended with %d: %s", c.Status, c.Stderr)
	}
	// validate never dials, so the server need not exist.
	c = harness.RunGateway(t, []string{"TENZO_REDIS_URL=redis://" + harness.FreeAddr(t)}, "", "validate", "--config", file, "--adapter", "caddyfile")
	if c.Status != 0 {
		t.Errorf("validate ended with %d: %s", c.Status, c.Stderr)
	}
	// A literal password is refused, and not shown.
	file = scratch(t, "Caddyfile", "{\n tenzo {\n redis redis://:hunter2@127.0.0.1:1\n }\n}\n")
	c = harness.RunGateway(t, nil, "", "adapt", "--validate", "--config", file, "--adapter", "caddyfile")
	if c.Status == 0 || strings.Contains(c.Stderr+c.Stdout, "hunter2") {
		t.Errorf("adapt ended with %d: %s", c.Status, c.Stderr)
	}
}

// moduleIDs are the modules that tenzo-gateway adds to Caddy.
var moduleIDs = []string{
	"tenzo", "http.handlers.tenzo_auth", "http.handlers.tenzo_strip", "http.handlers.tenzo_developer_tools",
	"http.handlers.tenzo_health", "admin.api.tenzo",
}

func TestVersionAndModules(t *testing.T) {
	t.Parallel()
	if c := harness.RunGateway(t, nil, "", "version"); c.Status != 0 || c.Stdout == "" {
		t.Errorf("version: %+v", c)
	}
	c := harness.RunGateway(t, nil, "", "list-modules")
	for _, id := range moduleIDs {
		if !slices.Contains(strings.Fields(c.Stdout), id) {
			t.Errorf("list-modules lacks %s", id)
		}
	}
}

// TestKeysAdminAPI creates, lists and revokes keys over HTTP (specification.md, section 10).
func TestKeysAdminAPI(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	g := startGateway(t, site{redis: r.URL()})
	call := func(method, path, contentType, body string) answer {
		t.Helper()
		req, err := http.NewRequest(method, g.Admin()+"/tenzo/orgs/"+path, bytes.NewReader([]byte(body)))
		must(t, err)
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		a, err := do(plain, req)
		must(t, err)
		if got := a.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s %s: Cache-Control is %q", method, path, got)
		}
		return a
	}
	const jsonType = "application/json"
	var ids []string
	for range 3 {
		harness.NextMillisecond()
		a := call("POST", "acme/keys", jsonType, `{"name": "by HTTP", "expires_at": null}`)
		var created struct{ ID, Key string }
		if err := json.Unmarshal(a.body, &created); err != nil || a.StatusCode != 201 || created.ID == "" {
			t.Fatalf("answered %d: %s", a.StatusCode, a.body)
		}
		must(t, g.want(created.Key, 200))
		ids = append([]string{created.ID}, ids...)
	}
	var got []string
	for path := "acme/keys?limit=2"; path != ""; {
		a := call("GET", path, "", "")
		var page struct {
			Items      []listed
			NextCursor *string `json:"next_cursor"`
		}
		if err := json.Unmarshal(a.body, &page); err != nil || a.StatusCode != 200 {
			t.Fatalf("answered %d: %s", a.StatusCode, a.body)
		}
		for _, item := range page.Items {
			got = append(got, item.ID)
		}
		if path = ""; page.NextCursor != nil {
			path = "acme/keys?limit=2&cursor=" + *page.NextCursor
		}
	}
	if diff := cmp.Diff(ids, got); diff != "" {
		t.Errorf("the pages list (-want +got):\n%s", diff)
	}
	if a := call("DELETE", "acme/keys/"+ids[0], "", ""); a.StatusCode/100 != 2 {
		t.Errorf("answered %d: %s", a.StatusCode, a.body)
	}
	for name, refusal := range map[string]struct {
		method, path, contentType, body string
		status                          int
		field                           string
	}{
		"an unknown member": {"POST", "acme/keys", jsonType, `{"name": "n", "scope": "all"}`, 400, "scope"},
		"no name":           {"POST", "acme/keys", jsonType, `{}`, 400, "name"},
		"past":              {"POST", "acme/keys", jsonType, `{"name": "n", "expires_at": "2020-01-01T00:00:00Z"}`, 400, "expires_at"},
		"no JSON type":      {"POST", "acme/keys", "text/plain", `{"name": "n"}`, 415, ""},
		"no JSON":           {"POST", "acme/keys", jsonType, `{`, 400, ""},
		"too large a page":  {"GET", "acme/keys?limit=1001", "", "", 0, "limit"},
		"an unknown id":     {"DELETE", "acme/keys/none", "", "", 404, ""},
		"another one's id":  {"DELETE", "other/keys/" + ids[1], "", "", 404, ""},
		"no webhook":        {"GET", "acme/webhook", "", "", 404, ""},
	} {
		a := call(refusal.method, refusal.path, refusal.contentType, refusal.body)
		p := a.problem(t)
		if a.StatusCode/100 != 4 || refusal.status >= 404 && a.StatusCode != refusal.status || p.Code == "" || p.Field != refusal.field {
			t.Errorf("%s: answered %d: %s", name, a.StatusCode, a.body)
		}
	}
	a, err := do(plain, request(t, "GET", g.Admin()+"/tenzo/openapi.json"))
	must(t, err)
	var document struct{ OpenAPI string }
	if err := json.Unmarshal(a.body, &document); err != nil || !strings.HasPrefix(document.OpenAPI, "3.1") {
		t.Errorf("the OpenAPI document says %q, %v", document.OpenAPI, err)
	}
}
