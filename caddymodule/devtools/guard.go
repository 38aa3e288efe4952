package devtools

// This file keeps other origins out.

import (
	"net/http"
	"regexp"
	"strings"
)

// writes reports whether a request may change something.
func writes(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// guard refuses writes that a browser sends from another origin: Sec-Fetch-Site decides if it is
// present, otherwise Origin must be the request's host. A request without both is not a browser's.
var guard = http.NewCrossOriginProtection()

// ancestor matches an origin in a Content-Security-Policy. It excludes characters that could end
// the directive.
var ancestor = regexp.MustCompile(`^https?://(\*\.)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:([0-9]{1,5}|\*))?$`)

// validAncestor reports whether s is an origin that may embed the page, or 'self'.
func validAncestor(s string) bool { return s == "'self'" || ancestor.MatchString(s) }

// secure sets the security headers of every answer.
func (h *Handler) secure(header http.Header) {
	ancestors := "'none'"
	if len(h.FrameAncestors) > 0 {
		ancestors = strings.Join(h.FrameAncestors, " ")
	} else {
		header.Set("X-Frame-Options", "DENY")
	}
	header.Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
		"base-uri 'none'", "form-action 'none'", "frame-ancestors " + ancestors, "require-trusted-types-for 'script'",
	}, "; "))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
}
