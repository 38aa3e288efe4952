package changes

// This file reads entries of the stream, which other programs write too.

import (
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// badLogInterval is how often entries that cannot be read are mentioned.
const badLogInterval = time.Minute

// tell hands one entry to the handlers. Further fields are none of our business; an entry without one of ours is mentioned.
func (f *Follower) tell(e redis.XMessage) {
	announced := announcedAt(e.ID)
	known := false
	if hash := strings.ToLower(text(e, store.ChangeKey)); isHash(hash) {
		known = true
		for _, h := range f.handlers {
			h.KeyChanged(hash, announced)
		}
	}
	if org := text(e, store.ChangeWebhook); config.ValidID(org) {
		known = true
		for _, h := range f.handlers {
			h.WebhookChanged(org, announced)
		}
	}
	if now := time.Now(); !known && now.Sub(f.badLog) >= badLogInterval {
		f.badLog = now
		f.logger.Warn("ignored an entry of the stream of changes that names neither a key's sha256 hex nor an organization", "entry", e.ID)
	}
}

func text(e redis.XMessage, field string) string {
	s, _ := e.Values[field].(string)
	return s
}

// isHash says whether s is a sha256 in lower-case hex.
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
