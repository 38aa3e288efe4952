package store

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// FormatTime returns a time as it is written to Redis: RFC 3339 in UTC, to the millisecond. All are
// of one length, so that the later time is the greater text.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// The first and the last moment that RFC 3339 can express in UTC. A time near them in another zone
// counts as them.
var (
	firstTime = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
)

// rfc3339 is the form of a time. time.Parse is more lenient: it accepts zones of a day and more,
// hours of one digit, and a comma instead of the point.
var rfc3339 = regexp.MustCompile(
	`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// ParseTime reads a time from Redis, where other programs write too: RFC 3339, with letters in
// either case.
func ParseTime(text string) (time.Time, error) {
	text = strings.ToUpper(text)
	if !rfc3339.MatchString(text) {
		return time.Time{}, errors.New("not an RFC 3339 time")
	}
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("not an RFC 3339 time: %w", err)
	case t.Before(firstTime):
		return firstTime, nil
	case t.After(lastTime):
		return lastTime, nil
	}
	return t, nil
}
