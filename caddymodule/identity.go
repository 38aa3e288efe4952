package caddymodule

import (
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// The identity headers that the upstream gets (specification.md, section 5).
const (
	headerOrgID = "X-Tenzo-Org-Id"
	headerKeyID = "X-Tenzo-Key-Id"
)

// identityPrefix begins every header that only this program may set, in lower case.
const identityPrefix = "x-tenzo-"

// isIdentity reports whether a header's name begins with X-Tenzo-, in any case. Underscores and
// dots count as dashes: Caddy passes such names if a server expects them, and many upstreams treat
// them as the same name.
func isIdentity(name string) bool {
	if len(name) < len(identityPrefix) {
		return false
	}
	for i := range len(identityPrefix) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '_' || c == '.':
			c = '-'
		}
		if c != identityPrefix[i] {
			return false
		}
	}
	return true
}

// stripIdentity removes every identity that the client claims: headers, announced trailers,
// trailers that appear only at the end of the body, and the names in Connection that would make a
// proxy after us remove the headers we set. With credentials, it also removes Authorization.
func stripIdentity(r *http.Request, credentials bool) {
	removeIdentity(r.Header, credentials)
	if _, ok := r.Header["Connection"]; ok {
		stripConnection(r.Header)
	}
	removeIdentity(r.Trailer, credentials)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &trailerFilter{ReadCloser: r.Body, request: r, credentials: credentials}
	}
}

func removeIdentity(h http.Header, credentials bool) {
	if credentials {
		delete(h, "Authorization")
	}
	for name := range h {
		if isIdentity(name) {
			delete(h, name)
		}
	}
}

// stripConnection removes from Connection the names of headers that carry identity or credentials.
// A proxy removes the headers that Connection names (RFC 9110, section 7.6.1), and a client must
// not decide which of ours.
func stripConnection(h http.Header) {
	ours := func(token string) bool {
		token = strings.TrimSpace(token)
		return isIdentity(token) || textproto.CanonicalMIMEHeaderKey(token) == "Authorization"
	}
	lines := h["Connection"]
	if !slices.ContainsFunc(lines, func(line string) bool {
		return slices.ContainsFunc(strings.Split(line, ","), ours)
	}) {
		return
	}
	var kept []string
	for _, line := range lines {
		if tokens := slices.DeleteFunc(strings.Split(line, ","), ours); len(tokens) > 0 {
			kept = append(kept, strings.Join(tokens, ","))
		}
	}
	if len(kept) == 0 {
		delete(h, "Connection")
		return
	}
	h["Connection"] = kept
}

// trailerFilter removes from a request's trailers what stripIdentity removes, when they arrive. The
// server adds trailers, announced or not, in the Read that returns io.EOF; a proxy reads them after
// that.
type trailerFilter struct {
	io.ReadCloser
	request     *http.Request
	credentials bool
}

func (f *trailerFilter) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if err == io.EOF {
		removeIdentity(f.request.Trailer, f.credentials)
	}
	return n, err
}
