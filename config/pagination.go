package config

import (
	"fmt"
	"net/http"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// Page is one page of a list, newest first.
type Page[T any] struct {
	Items      []T
	NextCursor string // empty on the last page
}

// The bounds of a page (specification.md, section 10).
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// PageLimit returns the number of items of a page: 100 for 0. A limit above 1,000 or below 0 is
// ErrInvalidLimit.
func PageLimit(limit int) (int, error) {
	switch {
	case limit == 0:
		return defaultLimit, nil
	case limit < 0 || limit > maxLimit:
		return 0, ErrInvalidLimit
	}
	return limit, nil
}

// Refusals of a page.
var (
	ErrInvalidLimit = &problem.Error{
		Status: http.StatusBadRequest, Code: "invalid_limit", Field: "limit",
		Detail: fmt.Sprintf("the limit must be a number from 1 to %d", maxLimit),
	}
	ErrInvalidCursor = &problem.Error{
		Status: http.StatusBadRequest, Code: "invalid_cursor", Field: "cursor", Detail: "invalid cursor",
	}
)
