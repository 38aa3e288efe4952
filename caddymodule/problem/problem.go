// Package problem answers refused requests with problem+json (RFC 9457), whoever refuses them.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Problem is why a request is refused, for its client.
type Problem struct {
	Status int    // the HTTP status
	Code   string // which problem it is; stable, for programs
	Detail string // what is wrong and what to do about it, for people
	Field  string // the member or parameter at fault, where one is
}

// body is a Problem as it leaves. Its type is about:blank: it has no page of its own, and the code tells problems apart.
type body struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
}

// Write answers r with p, never to be cached: status, headers, and a body unless the method is HEAD.
func Write(w http.ResponseWriter, r *http.Request, p Problem) {
	text, err := json.Marshal(body{"about:blank", http.StatusText(p.Status), p.Status, p.Detail, p.Code, p.Field})
	if err != nil { // strings and a number always marshal
		text = []byte("{}")
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // a client that is gone misses nothing
	}
}
