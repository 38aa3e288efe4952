package devtools

// This file keeps other origins out.

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// writes reports whether a request may change something.
func writes(r *http.Request) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// sameOrigin reports whether a request comes from the page itself or not from a browser: browsers
// send Origin with every request that changes something, and newer ones Sec-Fetch-Site with every
// request.
func sameOrigin(r *http.Request) bool {
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" {
			return false
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || withoutDefaultPort(u.Host, u.Scheme) != withoutDefaultPort(r.Host, u.Scheme) {
			return false
		}
	}
	return true
}

// withoutDefaultPort returns a host as browsers write it: in lower case, without the scheme's
// default port.
func withoutDefaultPort(host, scheme string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "https":
		return strings.TrimSuffix(host, ":443")
	case "http":
		return strings.TrimSuffix(host, ":80")
	default:
		return host
	}
}

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
