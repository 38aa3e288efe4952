package config

import (
	"strings"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// maxSpan bounds how far ahead a span may set the expiry: longer than any key should live, and far from overflowing.
const maxSpan = 100 * 365 * 24 * time.Hour

// ParseExpiry reads when a key expires: an RFC 3339 time such as 2027-01-01T00:00:00Z, or a span from now such as 90d or 12h (ParseSpan). One that is
// past, or cannot be read, is refused; the error is an *Error.
func ParseExpiry(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	if at, err := ParseExpiryTime(s); err == nil {
		return at, checkExpiry(at, now)
	}
	span, err := ParseSpan(s)
	if err != nil || span > maxSpan {
		return time.Time{}, problem.Invalid(store.KeyExpiresAt, "invalid_expiry", "the expiry must be a time such as 2027-01-01T00:00:00Z or a span such as 90d or 12h")
	}
	at := now.Add(span)
	return at, checkExpiry(at, now)
}

// ParseExpiryTime reads when a key expires where only an RFC 3339 time may stand; the error is an *Error. Whether it is past is judged when
// the key is made.
func ParseExpiryTime(s string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, problem.Invalid(store.KeyExpiresAt, "invalid_expiry", "the expiry must be a time such as 2027-01-01T00:00:00Z")
	}
	return at, nil
}

func checkExpiry(at, now time.Time) error {
	switch {
	case !at.After(now):
		return problem.Invalid(store.KeyExpiresAt, "expiry_past", "the expiry is past")
	case at.UTC().Year() > 9999: // RFC 3339 ends there
		return problem.Invalid(store.KeyExpiresAt, "invalid_expiry", "the expiry is too far in the future")
	}
	return nil
}
