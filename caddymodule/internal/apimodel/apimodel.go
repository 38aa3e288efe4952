// Package apimodel is how keys, webhooks and events look in JSON, in the answers of the HTTP API and in the commands' --json alike: the fields
// under the names that they have in Redis (specification.md, section 4), what is absent as null, times in UTC.
package apimodel

import (
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

// List is a page of a list.
type List[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor"` // null on the last page
}

// ListOf shows a page, each item as of shows it.
func ListOf[T, V any](page config.Page[T], of func(T) V) List[V] {
	return List[V]{Items: ItemsOf(page.Items, of), NextCursor: orNull(page.NextCursor)}
}

// ItemsOf shows each item as of shows it. No items are [] and not null.
func ItemsOf[T, V any](items []T, of func(T) V) []V {
	views := make([]V, len(items))
	for i, item := range items {
		views[i] = of(item)
	}
	return views
}

// orNull is nil for the zero value, which JSON then shows as null.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// timeOrNull is nil for the zero time, else t in UTC.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
