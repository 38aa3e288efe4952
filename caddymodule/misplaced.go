package caddymodule

// This file finds API keys where they do not count: in the URL, a cookie or a header other than
// Authorization. Such a key is refused like a missing one, with a detail that says where it was
// seen, since URLs and most headers are logged by others, too.

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/redact"
)

// maxShownName is the length up to which the name of a header is shown.
const maxShownName = 64

// misplacedKey returns where in the request, outside of Authorization, there is a whole API key,
// and the key's hint. It must see the headers as the client sent them.
func misplacedKey(r *http.Request) (place, hint string, ok bool) {
	uri := r.RequestURI
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		uri = original.RequestURI // no handler has rewritten it
	}
	path, query, _ := strings.Cut(uri, "?")
	if hint, ok = redact.WholeHint(query); ok {
		return "the query of the URL", hint, true
	}
	if hint, ok = redact.WholeHint(path); ok {
		return "the path of the URL", hint, true
	}
	for name, values := range r.Header {
		if name == "Authorization" {
			continue
		}
		for _, value := range values {
			if hint, ok = redact.WholeHint(value); !ok {
				continue
			}
			switch {
			case name == "Cookie":
				return "a cookie", hint, true
			case redact.HasKey(name) || len(name) > maxShownName:
				return "a header", hint, true
			default:
				return "the header " + name, hint, true
			}
		}
	}
	return "", "", false
}
