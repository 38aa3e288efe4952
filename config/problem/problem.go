// Package problem is the one error type for refusals by a rule, and its form on the wire:
// problem+json (RFC 9457).
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// body is an Error as a client receives it. Its type is about:blank, since no page describes it;
// the code tells problems apart.
type body struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
}

// Write answers r with e, never to be cached: status, headers, and a body unless the method is
// HEAD.
func Write(w http.ResponseWriter, r *http.Request, e *Error) {
	text, err := json.Marshal(body{
		"about:blank", http.StatusText(e.Status), e.Status, e.Detail, e.Code, e.Field,
	})
	if err != nil { // strings and a number always marshal
		text = []byte("{}")
	}
	text = append(text, '\n') // for terminals
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // a client that is gone misses nothing
	}
}
