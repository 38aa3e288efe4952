package api

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// document reads the OpenAPI document that a surface serves, and checks that it is valid.
func (e *env) document(path string) *openapi3.T {
	e.t.Helper()
	a := e.expect(http.StatusOK, "GET", path, "")
	doc, err := openapi3.NewLoader().LoadFromData(a.body)
	if err != nil {
		e.t.Fatalf("%s: %v", path, err)
	}
	if err := doc.Validate(e.t.Context(), openapi3.EnableSchemaFormatValidation()); err != nil {
		e.t.Fatalf("%s: %v", path, err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		e.t.Errorf("%s is OpenAPI %s", path, doc.OpenAPI)
	}
	return doc
}

// Every route is documented, and every documented route exists, on both surfaces.
func TestOpenAPINamesEveryRoute(t *testing.T) {
	e := newEnv(t)
	for f, path := range map[surface]string{adminSurface: "/tenzo/openapi.json", toolsSurface: "/tools/acme/openapi.json"} {
		doc := e.document(path)
		documented := map[string][]string{}
		for p, item := range doc.Paths.Map() {
			documented[p] = slices.Sorted(maps.Keys(item.Operations()))
		}
		served := map[string][]string{}
		for _, rt := range e.api.routes() {
			if f == adminSurface || !rt.admin {
				served[rt.pattern(f)] = slices.Sorted(maps.Keys(rt.methods))
			}
		}
		if diff := cmp.Diff(served, documented); diff != "" {
			t.Errorf("%s differs from the handlers (-served +documented):\n%s", path, diff)
		}
	}
	tools := e.document("/tools/acme/openapi.json")
	if text, err := json.Marshal(tools); err != nil || strings.Contains(string(text), "{org}") || strings.Contains(string(text), `"/tenzo`) {
		t.Errorf("the document of Developer Tools names the admin endpoint's paths, %v", err)
	}
}

// Answers conform to the document, and the bodies that it allows are accepted.
func TestAnswersFitTheOpenAPIDocument(t *testing.T) {
	e := newEnv(t)
	e.test = func(string, string) (dispatcher.TestResult, error) { return dispatcher.TestResult{Status: 500}, nil }
	documents := map[surface]*openapi3.T{adminSurface: e.document("/tenzo/openapi.json"), toolsSurface: e.document("/tools/acme/openapi.json")}
	seen := map[string]bool{}
	fits := func(method, path, body string, wantRequestFit bool) {
		t.Helper()
		f, shown := adminSurface, path
		if rest, ok := strings.CutPrefix(path, "/tools/acme"); ok {
			f, shown = toolsSurface, rest
		}
		bare, _, _ := strings.Cut(shown, "?")
		doc := documents[f]
		var route *routers.Route
		params := map[string]string{}
		for pattern, item := range doc.Paths.Map() {
			if p, ok := match(pattern, bare); ok && item.GetOperation(method) != nil {
				route = &routers.Route{Spec: doc, Path: pattern, PathItem: item, Method: method, Operation: item.GetOperation(method)}
				params = p
				break // keys/{id} and keys do not overlap, nor do the others
			}
		}
		if route == nil {
			t.Fatalf("%s %s is not documented", method, path)
		}
		seen[method+" "+route.Path] = true
		req, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+shown, strings.NewReader(body))
		e.must(err)
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: &openapi3filter.Options{IncludeResponseStatus: true}}
		if err := openapi3filter.ValidateRequest(t.Context(), input); (err == nil) != wantRequestFit {
			t.Errorf("the document on the request %s %s %s: %v", method, path, body, err)
		}
		a := e.call(method, path, body)
		if wantRequestFit == (a.status == 400 || a.status == 422) {
			t.Errorf("%s %s %s: %d %s", method, path, body, a.status, a.body)
		}
		if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: input, Status: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}); err != nil {
			t.Errorf("%s %s answers %d %s:\n%v", method, path, a.status, a.body, err)
		}
	}
	e.addDeadLetter("acme", "n1", queue.ReasonRetriesExhausted)
	e.must(e.queue.LogAttempt(t.Context(), "acme", queue.Delivery{ID: "n1", Event: "note.finalized", Attempt: 1, Error: "no answer"}))
	for _, base := range []string{"/tenzo/orgs/acme/", "/tools/acme/"} {
		fits("GET", base+"keys", "", true)
		fits("POST", base+"keys", `{"name": "Production"}`, true)
		fits("POST", base+"keys", `{"name": "Production", "expires_at": "2099-01-01T00:00:00Z"}`, true)
		fits("POST", base+"keys", `{"name": "Production", "expires_at": null}`, true)
		fits("POST", base+"keys", `{"name": ""}`, false)
		fits("POST", base+"keys", `{}`, false)
		fits("POST", base+"keys", `{"name": "x", "surprise": 1}`, false)
		fits("GET", base+"keys?limit=1", "", true)
		fits("GET", base+"keys?limit=1001", "", false)
		id := e.expect(http.StatusCreated, "POST", base+"keys", `{"name": "to revoke"}`).json(t)["id"].(string)
		fits("DELETE", base+"keys/"+id, "", true)
		fits("DELETE", base+"keys/key_nobody", "", true)
		fits("GET", base+"webhook", "", true)
		fits("PUT", base+"webhook", `{"active": true}`, false)
		fits("PUT", base+"webhook", `{"url": "https://a.example/", "secret": "a good secret", "active": true}`, true)
		fits("PATCH", base+"webhook", `{"active": false, "secret": null}`, true)
		fits("PATCH", base+"webhook", `{"secret": ""}`, false)
		fits("GET", base+"webhook", "", true)
		fits("POST", base+"webhook/test", `{"event": "note.finalized"}`, true)
		fits("POST", base+"webhook/test", `{}`, false)
		fits("GET", base+"webhook/deliveries", "", true)
	}
	fits("POST", "/tenzo/orgs/acme/events", `{"event": "note.finalized", "id": "n2", "payload": {"a": 1}}`, true)
	fits("POST", "/tenzo/orgs/acme/events", `{"event": "note.finalized", "payload": []}`, false)
	for _, base := range []string{"/tenzo/", "/tools/acme/"} {
		fits("GET", base+"openapi.json", "", true)
		fits("GET", base+"dead-letters", "", true)
		fits("POST", base+"dead-letters/replay", `{"ids": ["n1", "nobody"]}`, true)
		fits("POST", base+"dead-letters/replay", `{"ids": []}`, false)
		fits("POST", base+"dead-letters/replay", `{"all": true}`, true)
	}
	fits("GET", "/tenzo/dead-letters?org=acme", "", true)
	fits("POST", "/tenzo/dead-letters/replay", `{"org": "acme"}`, true)
	fits("POST", "/tools/acme/dead-letters/replay", `{"all": true, "org": "acme"}`, false)
	fits("DELETE", "/tools/acme/webhook", "", true)
	fits("PUT", "/tenzo/orgs/acme/webhook", `{"url": "https://a.example/"}`, true)
	fits("DELETE", "/tenzo/orgs/acme/webhook", "", true)
	for _, doc := range documents {
		for p, item := range doc.Paths.Map() {
			for method := range item.Operations() {
				if !seen[method+" "+p] {
					t.Errorf("%s %s was not tried", method, p)
				}
			}
		}
	}
}

// match matches a path of the document, and returns its parameters.
func match(pattern, path string) (map[string]string, bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	params := map[string]string{}
	for i, w := range want {
		if name, ok := strings.CutPrefix(w, "{"); ok {
			params[strings.TrimSuffix(name, "}")] = got[i]
		} else if w != got[i] {
			return nil, false
		}
	}
	return params, true
}
