package config

// This file judges the record of a key as it stands in Redis, which other programs write too (specification.md, section 4).

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// ErrInvalidRecord says that a key's record breaks the rules of specification.md, section 4. Such a key is refused, never passed.
var ErrInvalidRecord = errors.New("invalid key record")

type recordError struct{ what string }

func (e *recordError) Error() string        { return "invalid key record: " + e.what }
func (e *recordError) Is(target error) bool { return target == ErrInvalidRecord }

// KeyFromHash reads the record of a key. A key that is revoked (any non-empty revoked_at revokes) comes without an error whatever else is
// wrong with it; for any other record that cannot be trusted the error is ErrInvalidRecord, beside what could be read of it.
func KeyFromHash(fields map[string]string) (Key, error) {
	k := Key{
		Name: cleanName(fields[store.KeyName]),
		Hint: cleanName(fields[store.KeyHint]),
	}
	var problem error
	if id := fields[store.KeyID]; ValidID(id) {
		k.ID = id
	} else {
		problem = &recordError{"its id is missing or ill-formed"}
	}
	if org := fields[store.KeyOrgID]; ValidID(org) {
		k.OrgID = org
	} else if problem == nil {
		problem = &recordError{"its org_id is missing or ill-formed"}
	}
	k.CreatedAt, _ = readTime(fields[store.KeyCreatedAt]) // for show only
	if text := fields[store.KeyExpiresAt]; text != "" {
		at, err := readTime(text)
		switch {
		case err != nil && problem == nil:
			problem = &recordError{"its expires_at is no RFC 3339 time"}
		case err == nil && at.IsZero():
			at = at.Add(1) // the zero time means never, and this one is long past
			fallthrough
		case err == nil:
			k.ExpiresAt = at
		}
	}
	if text := fields[store.KeyRevokedAt]; text != "" {
		at, err := readTime(text)
		if err != nil || at.IsZero() {
			at = time.Unix(0, 0).UTC()
		}
		k.RevokedAt = at
		return k, nil
	}
	return k, problem
}

// Status returns StatusRevoked, StatusExpired or StatusActive: revoked goes before expired. A key expires at its instant.
func (k Key) Status(now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return StatusRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StatusExpired
	}
	return StatusActive
}

// The first and the last moment that can be shown as RFC 3339 in UTC. A time near them in another zone counts as them.
var (
	firstTime = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)
)

// rfc3339 is the form of a time. time.Parse is more lenient: it takes zones of a day and more, hours of one digit, and a comma for the point.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// readTime reads a time as RFC 3339 has it, letters in either case.
func readTime(text string) (time.Time, error) {
	text = strings.ToUpper(text)
	if !rfc3339.MatchString(text) {
		return time.Time{}, errors.New("no RFC 3339 time")
	}
	t, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("no RFC 3339 time: %w", err)
	case t.Before(firstTime):
		return firstTime, nil
	case t.After(lastTime):
		return lastTime, nil
	}
	return t, nil
}
