package changes

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// More entries may follow a full batch that were announced before the poll was sent.
func TestAFullBatchProvesNothing(t *testing.T) {
	f := New(nil, slog.New(slog.DiscardHandler))
	entries := make([]redis.XMessage, batch)
	for i := range entries {
		entries[i] = redis.XMessage{ID: fmt.Sprintf("%d-0", i+1), Values: map[string]any{"webhook": "acme"}}
	}
	sent := time.Now()
	f.deliver(entries, false, sent)
	if !f.ProvenAt().IsZero() || f.position != fmt.Sprintf("%d-0", batch) {
		t.Errorf("proven at %v, position %s", f.ProvenAt(), f.position)
	}
	f.deliver(entries[1:], false, sent)
	if !f.ProvenAt().Equal(sent) {
		t.Errorf("proven at %v", f.ProvenAt())
	}
}

func TestAnnouncedAt(t *testing.T) {
	for id, want := range map[string]time.Time{"1700000000123-4": time.UnixMilli(1700000000123), "0-1": time.UnixMilli(0), "x-1": {}, "": {}} {
		if got := announcedAt(id); !got.Equal(want) {
			t.Errorf("%q: %v", id, got)
		}
	}
}
