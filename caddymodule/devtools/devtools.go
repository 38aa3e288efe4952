// Package devtools serves Developer Tools: the page on which an organization's people make API keys and set their webhook, its files,
// and the HTTP API it runs on, for one organization.
//
// Who the caller is was decided before (specification.md, section 8: `org`); this package refuses callers without an organization, keeps other
// origins from writing, and sets the headers that make a browser hold the page to its own files. It works wherever it is mounted: the
// page names everything by relative URLs, and the path of a request is read from its end.
package devtools

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/api"
	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// Handler serves Developer Tools. Its fields are set before the first request and not changed afterwards.
type Handler struct {
	API             *api.API
	SourceAddresses []string // addresses deliveries come from, shown to customers who must open their firewall
	FrameAncestors  []string // origins that may embed the page; nobody without
	Events          []string // event types the page offers to test; the documented ones where empty
}

// Validate says what is wrong with the options that end up in the page and its policy.
func (h *Handler) Validate() error {
	for _, a := range h.SourceAddresses {
		if _, err := netip.ParsePrefix(a); err == nil {
			continue
		}
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("source_addresses: '%s' is neither an IP address nor a network such as 203.0.113.0/29", a)
		}
	}
	for _, f := range h.FrameAncestors {
		if !validAncestor(f) {
			return fmt.Errorf("frame_ancestors: '%s' is no origin such as https://app.example.com", f)
		}
	}
	return nil
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
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, c Caller) {
	h.secure(w.Header())
	if refusal := refuse(r, c); refusal != nil {
		problem.Write(w, r, refusal)
		return
	}
	if c.Path == "" {
		c.Path = r.URL.Path
	}
	target := locate(r.URL.Path)
	switch {
	case target.api:
		h.API.ServeOrganization(w, r, c.Org, target.name)
	case target.name != "" && files[target.name].body != nil:
		if reading(w, r) {
			files[target.name].serve(w, r)
		}
	case target.name != "", target.behindAPI && writes(r): // nobody writes to a page
		notFound(w, r)
	case strings.HasSuffix(c.Path, "/"):
		if reading(w, r) {
			h.servePage(w, c.Org)
		}
	default: // relative URLs need the slash
		if reading(w, r) {
			redirect(w, r, c.Path)
		}
	}
}

// refuse says why a request is not served at all, before anything of it is looked at.
func refuse(r *http.Request, c Caller) *problem.Error {
	switch {
	case c.ByAPIKey:
		return &problem.Error{Status: http.StatusForbidden, Code: "api_key_not_allowed", Detail: "an API key cannot administer API keys or webhooks"}
	case !config.ValidID(c.Org):
		return &problem.Error{Status: http.StatusForbidden, Code: "no_organization", Detail: "the request belongs to no organization"}
	case writes(r) && !sameOrigin(r):
		return &problem.Error{Status: http.StatusForbidden, Code: "cross_origin", Detail: "changes are accepted from the page itself only, not from another origin"}
	}
	return nil
}

// reading says whether the request only reads; otherwise it is answered.
func reading(w http.ResponseWriter, r *http.Request) bool {
	if !writes(r) {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	problem.Write(w, r, &problem.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "this path takes GET, HEAD"})
	return false
}

func notFound(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, &problem.Error{Status: http.StatusNotFound, Code: "not_found", Detail: "there is nothing at this path"})
}

// redirect leads to the same path with a slash at its end, relative to it, so that it holds behind proxies that take prefixes away.
func redirect(w http.ResponseWriter, r *http.Request, path string) {
	target := "./" + escapeSegment(path[strings.LastIndexByte(path, '/')+1:]) + "/"
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", target)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusPermanentRedirect)
}
