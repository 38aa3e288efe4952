package queue

import (
	"context"
	"testing"
	"time"
)

// A deadline of the caller stays; a context without one gets a bound.
func TestBounded(t *testing.T) {
	want := time.Now().Add(3 * commandTimeout)
	long, cancel := context.WithDeadline(t.Context(), want)
	defer cancel()
	ctx, cancel := bounded(long)
	defer cancel()
	if got, ok := ctx.Deadline(); !ok || !got.Equal(want) {
		t.Errorf("a deadline of %v became %v", want, got)
	}
	ctx, cancel = bounded(t.Context())
	defer cancel()
	if got, ok := ctx.Deadline(); !ok || time.Until(got) > commandTimeout {
		t.Errorf("no deadline became %v", got)
	}
}
