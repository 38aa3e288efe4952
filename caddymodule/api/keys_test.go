package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

func TestKeys(t *testing.T) {
	e := newEnv(t)
	made := e.expect(http.StatusCreated, "POST", "/tenzo/orgs/acme/keys", `{"name": "Production", "expires_at": "2099-01-01T01:00:00+01:00"}`)
	key := made.json(t)
	secret, _ := key["key"].(string)
	id, _ := key["id"].(string)
	if !strings.HasPrefix(secret, apikey.Prefix) || key["name"] != "Production" || key["org_id"] != "acme" || key["status"] != "active" ||
		key["expires_at"] != "2099-01-01T00:00:00.000Z" || key["usage_count"] != float64(0) || key["last_used_at"] != nil || key["revoked_at"] != nil {
		t.Fatalf("made %s", made.body)
	}
	if got := made.header.Get("Location"); got != "keys/"+id {
		t.Errorf("Location is %q", got)
	}
	e.expect(http.StatusCreated, "POST", "/tools/acme/keys", `{"name": "Second"}`)
	e.expect(http.StatusCreated, "POST", "/tools/acme/keys", `{"name": "Third", "expires_at": null}`)

	used := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
	e.must(e.raw.HSet(t.Context(), e.store.Names().Usage(id), store.UsageCount, 7, store.UsageLastUsedAt, used.Format(time.RFC3339)).Err())
	for _, path := range []string{"/tenzo/orgs/acme/keys", "/tools/acme/keys"} {
		list := e.expect(http.StatusOK, "GET", path, "")
		if strings.Contains(string(list.body), secret) || strings.Contains(string(list.body), `"key"`) {
			t.Error("the list shows the key")
		}
		items := list.items(t)
		if got := itemWith(t, items, id); len(items) != 3 || got["usage_count"] != float64(7) || got["last_used_at"] != "2026-11-24T20:00:00.000Z" || got["name"] != "Production" {
			t.Errorf("%s: %s", path, list.body)
		}
		if list.json(t)["next_cursor"] != nil {
			t.Errorf("a cursor on the last page: %s", list.body)
		}
	}

	gone := e.expect(http.StatusOK, "DELETE", "/tools/acme/keys/"+id, "").json(t)
	if gone["status"] != "revoked" || gone["revoked_at"] == nil || gone["replica"] != "none" {
		t.Errorf("revoked: %v", gone)
	}
	again := e.expect(http.StatusOK, "DELETE", "/tenzo/orgs/acme/keys/"+id, "").json(t)
	if again["revoked_at"] != gone["revoked_at"] {
		t.Errorf("revoked again: %v", again)
	}
	if got := itemWith(t, e.expect(http.StatusOK, "GET", "/tools/acme/keys", "").items(t), id); got["status"] != "revoked" {
		t.Errorf("listed as %v", got)
	}
	e.refused(http.StatusNotFound, "key_not_found", "", "DELETE", "/tools/acme/keys/key_nobody", "")
	e.refused(http.StatusNotFound, "key_not_found", "", "DELETE", "/tools/acme/keys/%20", "")
	e.refused(http.StatusUnprocessableEntity, "missing_name", "name", "POST", "/tools/acme/keys", `{}`)
	e.refused(http.StatusUnprocessableEntity, "invalid_name", "name", "POST", "/tools/acme/keys", `{"name": "`+strings.Repeat("x", 101)+`"}`)
	e.refused(http.StatusUnprocessableEntity, "invalid_expiry", "expires_at", "POST", "/tools/acme/keys", `{"name": "x", "expires_at": "tomorrow"}`)
	if a := e.call("POST", "/tools/acme/keys", `{"name": "x", "expires_at": "2020-01-01T00:00:00Z"}`); a.status != 422 || a.json(t)["field"] != "expires_at" {
		t.Errorf("in the past: %d %s", a.status, a.body)
	}
}

// itemWith returns the item with an id.
func itemWith(t *testing.T, items []map[string]any, id string) map[string]any {
	t.Helper()
	for _, item := range items {
		if item["id"] == id {
			return item
		}
	}
	t.Fatalf("no item has the id %q", id)
	return nil
}

func TestPaging(t *testing.T) {
	e := newEnv(t)
	for i := range 5 {
		_, err := e.keys.Create(t.Context(), "acme", apikey.Params{Name: fmt.Sprint(i)})
		e.must(err)
	}
	var names []string
	cursor := ""
	for {
		list := e.expect(http.StatusOK, "GET", "/tools/acme/keys?limit=2&cursor="+cursor, "")
		for _, item := range list.items(t) {
			names = append(names, item["name"].(string))
		}
		next, ok := list.json(t)["next_cursor"].(string)
		if !ok {
			break
		}
		cursor = next
	}
	if got := strings.Join(names, ""); len(got) != 5 || !strings.ContainsAny(got, "4") {
		t.Errorf("the pages hold %v", names)
	}
	lists := []string{"/tools/acme/keys", "/tenzo/orgs/acme/keys", "/tools/acme/webhook/deliveries", "/tools/acme/dead-letters", "/tenzo/dead-letters"}
	for _, path := range lists {
		e.expect(http.StatusOK, "GET", path+"?limit=1000", "")
		for _, limit := range []string{"0", "-1", "1001", "x", "", "1e2", "99999999999999999999"} {
			e.refused(http.StatusBadRequest, "invalid_limit", "limit", "GET", path+"?limit="+limit, "")
		}
		for _, cursor := range []string{"nonsense~%00", "bmFuIHg" /* nan x */} {
			e.refused(http.StatusBadRequest, "invalid_cursor", "cursor", "GET", path+"?cursor="+cursor, "")
		}
	}
}

func TestBodies(t *testing.T) {
	e := newEnv(t)
	posts := map[string]string{
		"/tenzo/orgs/acme/keys": "POST", "/tools/acme/keys": "POST", "/tools/acme/webhook": "PUT", "/tenzo/orgs/acme/webhook": "PATCH",
		"/tools/acme/webhook/test": "POST", "/tenzo/orgs/acme/events": "POST", "/tenzo/dead-letters/replay": "POST", "/tools/acme/dead-letters/replay": "POST",
	}
	for path, method := range posts {
		e.refused(http.StatusBadRequest, "unknown_member", "surprise", method, path, `{"surprise": 1}`)
		e.refused(http.StatusBadRequest, "invalid_json", "", method, path, `{"na`)
		e.refused(http.StatusBadRequest, "invalid_json", "", method, path, `[]`)
		e.refused(http.StatusBadRequest, "invalid_json", "", method, path, `null`)
		e.refused(http.StatusBadRequest, "invalid_json", "", method, path, `{} {}`)
		e.refused(http.StatusBadRequest, "invalid_json", "", method, path, "", "Content-Type", "application/json")
		e.refused(http.StatusBadRequest, "invalid_json", "", method, path, "{\"\xff\": 1}")
		for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "", "application/json-patch+json", "application/json; charset=latin1"} {
			e.refused(http.StatusUnsupportedMediaType, "unsupported_media_type", "", method, path, `{}`, "Content-Type", media)
		}
	}
	e.refused(http.StatusBadRequest, "duplicate_member", "name", "POST", "/tools/acme/keys", `{"name": "a", "name": "b"}`)
	e.refused(http.StatusBadRequest, "unknown_member", "Name", "POST", "/tools/acme/keys", `{"Name": "a"}`)
	e.refused(http.StatusUnprocessableEntity, "invalid_type", "name", "POST", "/tools/acme/keys", `{"name": 1}`)
	e.refused(http.StatusUnprocessableEntity, "invalid_type", "expires_at", "POST", "/tools/acme/keys", `{"name": "a", "expires_at": 5}`)
	e.refused(http.StatusUnprocessableEntity, "invalid_type", "active", "PATCH", "/tools/acme/webhook", `{"active": "1"}`)
	e.refused(http.StatusRequestEntityTooLarge, "body_too_large", "", "POST", "/tools/acme/keys", `{"name": "`+strings.Repeat("x", maxBody)+`"}`)
	e.expect(http.StatusCreated, "POST", "/tools/acme/keys", `{"name": "a"}`, "Content-Type", "Application/JSON; charset=UTF-8")
}
