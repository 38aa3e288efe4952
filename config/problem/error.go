package problem

import (
	"net/http"
)

// Error is a refusal by a rule. The HTTP API answers with it as problem+json, a command prints its
// detail.
type Error struct {
	Status int    // the HTTP status
	Code   string // stable, for programs
	Field  string // the member, parameter or flag at fault, if there is one
	Detail string // what is wrong and what to do about it, for people
}

// Error returns the detail.
func (e *Error) Error() string { return e.Detail }

// Invalid refuses the value of a field with status 422.
func Invalid(field, code, detail string) *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: code, Field: field, Detail: detail}
}
