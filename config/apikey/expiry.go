package apikey

import (
	"strings"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// maxLifetime bounds an expiry given as a duration: longer than any key should live, and far from
// an overflow.
const maxLifetime = 100 * 365 * 24 * time.Hour

// ParseExpiry reads when a key expires: an RFC 3339 time such as 2027-01-01T00:00:00Z, or a
// duration from now such as 90d or 12h (config.ParseDuration). It refuses an expiry that has passed
// or cannot be read, with a *problem.Error.
func ParseExpiry(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	if at, err := ParseExpiryTime(s); err == nil {
		return at, checkExpiry(at, now)
	}
	lifetime, err := config.ParseDuration(s)
	if err != nil || lifetime > maxLifetime {
		return time.Time{}, problem.Invalid(store.KeyExpiresAt, "invalid_expiry",
			"the expiry must be a time such as 2027-01-01T00:00:00Z or a duration such as 90d or 12h")
	}
	at := now.Add(lifetime)
	return at, checkExpiry(at, now)
}

// ParseExpiryTime reads when a key expires where only an RFC 3339 time is allowed; the error is a
// *problem.Error. Create checks whether the time has passed.
func ParseExpiryTime(s string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, problem.Invalid(store.KeyExpiresAt, "invalid_expiry",
			"the expiry must be a time such as 2027-01-01T00:00:00Z")
	}
	return at, nil
}

func checkExpiry(at, now time.Time) error {
	switch {
	case !at.After(now):
		return problem.Invalid(store.KeyExpiresAt, "expiry_past", "the expiry has passed")
	case at.UTC().Year() > 9999: // the last year of RFC 3339
		return problem.Invalid(store.KeyExpiresAt, "invalid_expiry", "the expiry is too far in the future")
	}
	return nil
}
