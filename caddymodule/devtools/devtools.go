// Package devtools serves Developer Tools: the page on which an organization's people make API keys and set their webhook, its files,
// and the HTTP API it runs on, for one organization.
//
// Who the caller is was decided before (contract section 8: `org`); this package refuses callers without an organization, keeps other
// origins from writing, and sets the headers that make a browser hold the page to its own files.
package devtools

import (
	"net/http"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/api"
)

// Handler serves Developer Tools. Its fields are set before the first request and not changed afterwards.
type Handler struct {
	API             *api.API
	SourceAddresses []string // addresses deliveries come from, shown to customers who must open their firewall
	FrameAncestors  []string // origins that may embed the page; nobody without
}

// Caller is for whom a request is served.
type Caller struct {
	Org string // the organization; anything that is no organization id is answered 403

	// Path is the URL path as the client sent it, where something before this handler took a prefix away (handle_path); empty: the
	// request's own path.
	Path string

	ByAPIKey bool // tenzo_auth let the request in: an API key administers no keys, 403
}

// Serve answers a request of a caller.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, c Caller) { http.NotFound(w, r) }
