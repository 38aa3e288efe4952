package api

// This file serves the OpenAPI document, from one source for both surfaces.

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

// openAPI returns the document of each surface as JSON. It is the same for every API.
var openAPI = sync.OnceValue(func() map[surface][]byte {
	documents := map[surface][]byte{}
	for _, s := range []surface{adminSurface, toolsSurface} {
		var document map[string]any
		if err := yaml.Unmarshal(openAPISource, &document); err != nil {
			// A test decodes it, too.
			panic(fmt.Errorf("reading the embedded OpenAPI document: %w", err))
		}
		if s == toolsSurface {
			forTools(document)
		}
		text, err := json.Marshal(document)
		if err != nil {
			panic(fmt.Errorf("writing the embedded OpenAPI document: %w", err))
		}
		documents[s] = text
	}
	return documents
})

// forTools turns the admin endpoint's document into that of Developer Tools: paths are relative to
// the document and name no organization.
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
		withoutAdminOnly(operations)
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

// withoutAdminOnly removes the properties of bodies that only the admin surface takes.
func withoutAdminOnly(node any) {
	switch n := node.(type) {
	case map[string]any:
		for key, value := range n {
			if property, ok := value.(map[string]any); ok && property["x-admin-only"] == true {
				delete(n, key)
				continue
			}
			withoutAdminOnly(value)
		}
	case []any:
		for _, value := range n {
			withoutAdminOnly(value)
		}
	}
}

// withoutOrg removes the parameters that name an organization.
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
	_, _ = w.Write(openAPI()[s.surface]) // the client may have gone away
	return nil
}
