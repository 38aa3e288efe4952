package caddymodule

import (
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/redact"
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

// credentials says which values of Authorization are removed.
type credentials int

const (
	stripNoCredentials  credentials = iota
	stripOwnCredentials             // the values that hold an API key of ours
	stripAllCredentials
)

// stripIdentity removes every identity that the client claims: headers, announced trailers,
// trailers that appear only at the end of the body, and the words in Connection that would make a
// proxy after this one remove what it sets. It also removes credentials.
func stripIdentity(r *http.Request, credentials credentials) {
	removeIdentity(r.Header, credentials)
	if _, ok := r.Header["Connection"]; ok {
		stripConnection(r.Header)
	}
	removeIdentity(r.Trailer, credentials)
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = &trailerFilter{ReadCloser: r.Body, request: r, credentials: credentials}
	}
}

func removeIdentity(h http.Header, credentials credentials) {
	switch credentials {
	case stripAllCredentials:
		delete(h, "Authorization")
	case stripOwnCredentials:
		removeOwnCredentials(h)
	}
	for name := range h {
		if isIdentity(name) {
			delete(h, name)
		}
	}
}

// removeOwnCredentials removes the values of Authorization that hold an API key of ours, under any
// scheme or none. Other credentials stay: they may be the upstream's.
func removeOwnCredentials(h http.Header) {
	values := h["Authorization"]
	if !slices.ContainsFunc(values, redact.HasKey) {
		return
	}
	if rest := slices.DeleteFunc(slices.Clone(values), redact.HasKey); len(rest) > 0 {
		h["Authorization"] = rest
	} else {
		delete(h, "Authorization")
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
	credentials credentials
}

func (f *trailerFilter) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if err == io.EOF {
		removeIdentity(f.request.Trailer, f.credentials)
	}
	return n, err
}
