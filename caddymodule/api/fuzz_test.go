package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// Reading any body results in a value or in a refusal that names at most a field of the body, never
// in a failure of Redis.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"url": "https://a.example/", "secret": null, "active": true}`, `{"ids": ["a"], "org": "b", "all": false, "cursor": "1,b/2"}`, `{"ids": [1]}`,
		`{"url": {"a": [1, {"b": "\ud800"}]}}`, `[]`, `nul`, "{\"a\xff\": 1}", `{"secret": "", "secret": ""}`, strings.Repeat(`{"ids":`, 2000), `{"active": 1e999}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		read := func(v any, then func() error) {
			t.Helper()
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			err := readBody(httptest.NewRecorder(), r, maxBody, v)
			if err == nil {
				err = then()
			}
			var refusal *problem.Error
			if err != nil && (!errors.As(err, &refusal) || refusal.Status < 400 || refusal.Status > 499 || refusal.Code == "" || refusal.Detail == "" || len(refusal.Field) > 400) {
				t.Errorf("%q: %#v", body, err)
			}
		}
		var hook webhookBody
		read(&hook, func() error {
			c, err := hook.change()
			if err == nil && c.Secret != nil && *c.Secret == "" && !hook.Secret.null {
				t.Errorf("%q removes the secret without null", body)
			}
			return err
		})
		named := func(request queue.Replay) error {
			if len(request.IDs) == 0 && request.Org == "" && !request.All {
				t.Errorf("%q names nothing and is let through", body)
			}
			return nil
		}
		var admin struct {
			replayBody
			Org *string `json:"org"`
		}
		read(&admin, func() error {
			request, err := adminReplay(admin.replayBody, admin.Org)
			if err != nil {
				return err
			}
			return named(request)
		})
		var tools replayBody
		read(&tools, func() error {
			request := toolsReplay(tools, "acme")
			if request.Org != "acme" || request.All {
				t.Errorf("%q reaches beyond the organization: %+v", body, request)
			}
			return named(request)
		})
	})
}
