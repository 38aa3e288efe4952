package changes

// This file reads entries of the stream. Other programs write them too.

import (
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// badLogInterval is how often ignored entries are logged.
const badLogInterval = time.Minute

// dispatchEntry tells the handlers of one entry. Fields of other programs are ignored; an entry
// that has none of our fields is logged.
func (f *Follower) dispatchEntry(e redis.XMessage) {
	announced := announcedAt(e.ID)
	known := false
	if hash := strings.ToLower(text(e, store.ChangeKey)); isHash(hash) {
		known = true
		for _, h := range f.keys {
			h.KeyChanged(hash, announced)
		}
	}
	if org := text(e, store.ChangeWebhook); config.ValidID(org) {
		known = true
		for _, h := range f.webhooks {
			h.WebhookChanged(org, announced)
		}
	}
	if now := time.Now(); !known && now.Sub(f.badLog) >= badLogInterval {
		f.badLog = now
		f.logger.Warn("ignored an entry of the stream of changes: it has neither the sha256 hex of a key nor the id of an organization", "entry", e.ID)
	}
}

func text(e redis.XMessage, field string) string {
	s, _ := e.Values[field].(string)
	return s
}

// isHash reports whether s is a sha256 in lower-case hex.
func isHash(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// announcedAt reads the time of an entry from its id, <Unix milliseconds>-<number>.
func announcedAt(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n)
}
