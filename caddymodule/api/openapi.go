package api

// The API's description, from one source for both faces.

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

//go:embed openapi.yaml
var openAPISource []byte

// openAPI returns the document of each face as JSON. It is the same for every API, so it is made once.
var openAPI = sync.OnceValue(func() map[face][]byte {
	documents := map[face][]byte{}
	for _, f := range []face{adminFace, toolsFace} {
		var document map[string]any
		if err := yaml.Unmarshal(openAPISource, &document); err != nil {
			panic(fmt.Errorf("reading the embedded OpenAPI document: %w", err)) // a test reads it too
		}
		if f == toolsFace {
			forTools(document)
		}
		text, err := json.Marshal(document)
		if err != nil {
			panic(fmt.Errorf("writing the embedded OpenAPI document: %w", err))
		}
		documents[f] = text
	}
	return documents
})

// forTools makes of the admin endpoint's document that of Developer Tools: paths relative to the document, and no organization to name.
func forTools(document map[string]any) {
	document["servers"] = []any{map[string]any{"url": "."}}
	paths := document["paths"].(map[string]any)
	for path, item := range paths {
		delete(paths, path)
		operations := item.(map[string]any)
		if operations["x-admin-only"] == true {
			continue
		}
		path = strings.TrimPrefix(path, "/tenzo")
		path = strings.TrimPrefix(path, "/orgs/{org}")
		withoutOrg(operations)
		for _, operation := range operations {
			if o, ok := operation.(map[string]any); ok {
				withoutOrg(o)
			}
		}
		paths[path] = operations
	}
	components := document["components"].(map[string]any)
	parameters := components["parameters"].(map[string]any)
	delete(parameters, "Org")
	delete(parameters, "OrgFilter")
}

// withoutOrg drops the parameters that name an organization.
func withoutOrg(holder map[string]any) {
	all, _ := holder["parameters"].([]any)
	var kept []any
	for _, p := range all {
		switch p.(map[string]any)["$ref"] {
		case "#/components/parameters/Org", "#/components/parameters/OrgFilter":
		default:
			kept = append(kept, p)
		}
	}
	delete(holder, "parameters")
	if kept != nil {
		holder["parameters"] = kept
	}
}

func (a *API) getOpenAPI(w http.ResponseWriter, _ *http.Request, s scope) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(openAPI()[s.face]) // a client that went away needs no answer
	return nil
}
