package store

import "time"

// FormatTime is how times are written to Redis: RFC 3339 in UTC, to the millisecond, and so all of one length: the later is the greater text.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
