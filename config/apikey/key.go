package apikey

import (
	"net/http"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// Prefix begins every API key.
const Prefix = "tenzo_pk_"

// Key is the record of an API key. The key itself is stored nowhere.
type Key struct {
	ID        string
	OrgID     string
	Name      string
	Hint      string // the prefix and the last 4 characters
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not revoked; an unreadable value revokes too, as time.Unix(0, 0)
}

// Usage is how often a key was used, and when last.
type Usage struct {
	Count      int64
	LastUsedAt time.Time // zero: never
}

// The statuses of a key.
const (
	StatusActive  = "active"
	StatusExpired = "expired"
	StatusRevoked = "revoked"
)

// ErrNotFound says that there is no key with that id, or that it belongs to another organization.
var ErrNotFound = &problem.Error{
	Status: http.StatusNotFound, Code: "key_not_found", Detail: "there is no such API key",
}
