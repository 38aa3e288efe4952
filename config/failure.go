package config

import (
	"fmt"
	"net/http"
)

// Error is a refusal by a rule, fit to be shown to whoever asked: as problem+json by the HTTP API, as a line by a command.
type Error struct {
	Status int    // the HTTP status that fits
	Code   string // stable, for programs
	Field  string // the member or flag at fault, where one is
	Detail string // one sentence that says what to do
}

// Error returns the detail.
func (e *Error) Error() string { return e.Detail }

// Invalid refuses the value of a field.
func Invalid(field, code, detail string) *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: code, Field: field, Detail: detail}
}

// notAnnounced says that a change was made, but that running processes were not told of it: detail says what that means and what to do,
// cause why. It happens in a Cluster alone, where the announcement is a step of its own.
func notAnnounced(detail string, cause error) error {
	return fmt.Errorf("%w: %w", &Error{Status: http.StatusServiceUnavailable, Code: "change_not_announced", Detail: detail}, cause)
}

// Refusals that are the same wherever they occur.
var (
	ErrStoreNotInitialized = &Error{Status: http.StatusServiceUnavailable, Code: "store_not_initialized", Detail: "this Redis holds no tenzo data yet, or has lost it: mark a new, empty store with `tenzo-gateway init`, or restore the backup"}
	ErrKeyNotFound         = &Error{Status: http.StatusNotFound, Code: "key_not_found", Detail: "there is no such API key"}
	ErrWebhookNotFound     = &Error{Status: http.StatusNotFound, Code: "webhook_not_found", Detail: "no webhook is configured"}
)
