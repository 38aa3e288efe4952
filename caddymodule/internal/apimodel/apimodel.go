// Package apimodel defines the JSON forms of keys, webhooks and events, which the HTTP API and the
// commands' --json share. Fields have their names in Redis (specification.md, section 4), absent
// values are null, and times have one form.
package apimodel

import (
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// List is a page of a list.
type List[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"` // null on the last page
}

// ListOf converts a page. of converts each item.
func ListOf[T, V any](page config.Page[T], of func(T) V) List[V] {
	return List[V]{Items: ItemsOf(page.Items, of), NextCursor: orNull(page.NextCursor)}
}

// ItemsOf converts items with of. The result for no items is [] and not null.
func ItemsOf[T, V any](items []T, of func(T) V) []V {
	out := make([]V, len(items))
	for i, item := range items {
		out[i] = of(item)
	}
	return out
}

// orNull returns nil, which is null in JSON, for the zero value.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// Time is a time in JSON. All have the form that they have in Redis: RFC 3339 in UTC, with exactly
// three digits of the second's fraction.
type Time time.Time

// MarshalText returns the only form of a time.
func (t Time) MarshalText() ([]byte, error) { return []byte(store.FormatTime(time.Time(t))), nil }

// timeOrNull returns nil for the zero time.
func timeOrNull(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return (*Time)(&t)
}
