// Package devtools serves Developer Tools: the page on which the members of an organization create
// API keys and set their webhook, its files, and its HTTP API for one organization.
//
// The option `org` (specification.md, section 8) decides who the caller is. This package refuses
// callers without an organization, refuses writes from other origins, and sets the headers that
// restrict the page to its own files. It works wherever it is mounted: the page uses relative URLs
// only, and the path of a request is read from its end.
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

// Handler serves Developer Tools. Its fields must not change after the first request.
type Handler struct {
	API             *api.API
	SourceAddresses []string // addresses that deliveries come from, shown to customers
	FrameAncestors  []string // origins that may embed the page; default: none
	// Event types that the page offers to test; default: the documented ones.
	Events []string
}

// Validate checks the options that become part of the page and its policy.
func (h *Handler) Validate() error {
	for _, a := range h.SourceAddresses {
		if _, err := netip.ParsePrefix(a); err == nil {
			continue
		}
		if _, err := netip.ParseAddr(a); err != nil {
			return fmt.Errorf("source_addresses: invalid address '%s': must be an IP address or a network such as 203.0.113.0/29", a)
		}
	}
	for _, f := range h.FrameAncestors {
		if !validAncestor(f) {
			return fmt.Errorf("frame_ancestors: invalid origin '%s': must be an origin such as https://app.example.com", f)
		}
	}
	return nil
}

// Caller is who sent a request.
type Caller struct {
	Org string // id of the organization; an invalid one gets 403

	// Path is the URL path as the client sent it, if a handler in front of this one removed a
	// prefix (handle_path). Default: the request's path.
	Path string

	// Mounts are the paths, with a trailing slash, that may lead to the page. Default: unknown, so
	// that any path with a trailing slash is the page. If a prefix was removed, the root is one of
	// them.
	Mounts []string

	ByAPIKey bool // an API key admitted the request; such requests get 403
}

// Serve answers a request.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, c Caller) {
	h.secure(w.Header())
	if refusal := refuse(r, c); refusal != nil {
		problem.Write(w, r, refusal)
		return
	}
	if c.Path == "" {
		c.Path = r.URL.Path
	}
	var target target
	if mounts := c.Mounts; mounts != nil {
		if c.Path != r.URL.Path {
			mounts = append([]string{"/"}, mounts...)
		}
		target = locateUnder(mounts, r.URL.Path)
	} else {
		target = locate(r.URL.Path)
	}
	switch {
	case target.api:
		h.API.ServeOrganization(w, r, c.Org, target.name)
	case target.name != "" && files[target.name].body != nil:
		if reading(w, r) {
			files[target.name].serve(w, r)
		}
	case target.name != "", target.behindAPI && writes(r): // a page takes no writes
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

// refuse returns the reason to refuse a request before its path and body are considered.
func refuse(r *http.Request, c Caller) *problem.Error {
	switch {
	case c.ByAPIKey:
		return &problem.Error{Status: http.StatusForbidden, Code: "api_key_not_allowed", Detail: "an API key cannot administer API keys or webhooks"}
	case !config.ValidID(c.Org):
		return &problem.Error{Status: http.StatusForbidden, Code: "no_organization", Detail: "the request belongs to no organization"}
	case guard.Check(r) != nil:
		return &problem.Error{Status: http.StatusForbidden, Code: "cross_origin", Detail: "changes are accepted only from the page itself, not from another origin. " +
			"A proxy in front of the gateway must pass the header Sec-Fetch-Site, and Host as the browser sent it"}
	}
	return nil
}

// reading reports whether the request only reads. Otherwise it answers the request.
func reading(w http.ResponseWriter, r *http.Request) bool {
	if !writes(r) {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	problem.Write(w, r, &problem.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "allowed methods: GET, HEAD"})
	return false
}

func notFound(w http.ResponseWriter, r *http.Request) {
	problem.Write(w, r, &problem.Error{Status: http.StatusNotFound, Code: "not_found", Detail: "there is nothing at this path"})
}

// redirect redirects to the same path with a trailing slash. The location is relative, so that it
// works behind proxies that remove a prefix.
func redirect(w http.ResponseWriter, r *http.Request, path string) {
	target := "./" + escapeSegment(path[strings.LastIndexByte(path, '/')+1:]) + "/"
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", target)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusPermanentRedirect)
}
