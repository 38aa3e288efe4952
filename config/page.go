package config

// This file is about the pages of a list, whatever it lists.

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

// PageLimit returns the number of items of a page: 100 for 0. More than 1,000, and less than 0, is ErrInvalidLimit.
func PageLimit(limit int) (int, error) {
	switch {
	case limit == 0:
		return defaultLimit, nil
	case limit < 0 || limit > maxLimit:
		return 0, ErrInvalidLimit
	}
	return limit, nil
}

// What is wrong with the wish for a page.
var (
	ErrInvalidLimit  = &problem.Error{Status: http.StatusBadRequest, Code: "invalid_limit", Field: "limit", Detail: fmt.Sprintf("the limit is a number from 1 to %d", maxLimit)}
	ErrInvalidCursor = &problem.Error{Status: http.StatusBadRequest, Code: "invalid_cursor", Field: "cursor", Detail: "the cursor is none that a list gave"}
)
