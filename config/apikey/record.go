package apikey

// This file checks the record of a key as it is in Redis, where other programs write too
// (specification.md, section 4).

import (
	"errors"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// ErrInvalidRecord says that the record of a key breaks the rules of specification.md, section 4.
// Such a key is always refused.
var ErrInvalidRecord = errors.New("invalid key record")

type recordError struct{ reason string }

func (e *recordError) Error() string        { return "invalid key record: " + e.reason }
func (e *recordError) Is(target error) bool { return target == ErrInvalidRecord }

// FromHash reads the record of a key from its Redis hash. For a revoked key, which is one with any
// non-empty revoked_at, the error is nil whatever else is wrong with the record. For any other
// record that breaks a rule the error is ErrInvalidRecord, and the key holds what could be read.
func FromHash(fields map[string]string) (Key, error) {
	k := Key{
		Name: cleanName(fields[store.KeyName]),
		Hint: cleanName(fields[store.KeyHint]),
	}
	var invalid error
	if id := fields[store.KeyID]; config.ValidID(id) {
		k.ID = id
	} else {
		invalid = &recordError{"its id is missing or invalid"}
	}
	if org := fields[store.KeyOrgID]; config.ValidID(org) {
		k.OrgID = org
	} else if invalid == nil {
		invalid = &recordError{"its org_id is missing or invalid"}
	}
	k.CreatedAt, _ = store.ParseTime(fields[store.KeyCreatedAt]) // shown, never relied on
	if text := fields[store.KeyExpiresAt]; text != "" {
		at, err := store.ParseTime(text)
		switch {
		case err != nil && invalid == nil:
			invalid = &recordError{"its expires_at is not an RFC 3339 time"}
		case err == nil && at.IsZero():
			at = at.Add(1) // the zero time would mean never, and this time has long passed
			fallthrough
		case err == nil:
			k.ExpiresAt = at
		}
	}
	if text := fields[store.KeyRevokedAt]; text != "" {
		at, err := store.ParseTime(text)
		if err != nil || at.IsZero() {
			at = time.Unix(0, 0).UTC()
		}
		k.RevokedAt = at
		return k, nil
	}
	return k, invalid
}

// Status returns StatusRevoked, StatusExpired or StatusActive. Revoked takes precedence over
// expired. A key is expired from the instant of its expiry on.
func (k Key) Status(now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return StatusRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return StatusExpired
	}
	return StatusActive
}
