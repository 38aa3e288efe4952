package config

import (
	"net/http"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// KeyPrefix begins every API key.
const KeyPrefix = "tenzo_pk_"

// Key is an API key as it stands in Redis. The key itself stands nowhere.
type Key struct {
	ID        string
	OrgID     string
	Name      string
	Hint      string // prefix and last 4 characters
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not revoked; any unreadable value revokes too and reads as time.Unix(0, 0)
}

// Usage is how much a key was used.
type Usage struct {
	Count      int64
	LastUsedAt time.Time // zero: never
}

// The states of a key, as `keys list` shows them.
const (
	StatusActive  = "active"
	StatusExpired = "expired"
	StatusRevoked = "revoked"
)

// ErrKeyNotFound says that the organization has no key with that id.
var ErrKeyNotFound = &problem.Error{Status: http.StatusNotFound, Code: "key_not_found", Detail: "there is no such API key"}
