package apimodel

// This file defines API keys.

import (
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
)

// keyRecord has the fields that all forms of a key share.
type keyRecord struct {
	ID        string `json:"id"`
	OrgID     string `json:"org_id"`
	Name      string `json:"name"`
	Hint      string `json:"hint"`
	Status    string `json:"status"`
	CreatedAt *Time  `json:"created_at"`
	ExpiresAt *Time  `json:"expires_at"`
	RevokedAt *Time  `json:"revoked_at"`
}

func recordOf(k apikey.Key, status string) keyRecord {
	return keyRecord{
		ID: k.ID, OrgID: k.OrgID, Name: k.Name, Hint: k.Hint, Status: status,
		CreatedAt: timeOrNull(k.CreatedAt), ExpiresAt: timeOrNull(k.ExpiresAt), RevokedAt: timeOrNull(k.RevokedAt),
	}
}

// Key is a key with its status and usage.
type Key struct {
	keyRecord
	UsageCount int64 `json:"usage_count"`
	LastUsedAt *Time `json:"last_used_at"`
}

// KeyOf converts a key of a list.
func KeyOf(k apikey.Listed) Key {
	return Key{keyRecord: recordOf(k.Key, k.Status), UsageCount: k.Count, LastUsedAt: timeOrNull(k.LastUsedAt)}
}

// CreatedKey is a new key with the only copy of its text.
type CreatedKey struct {
	Key
	Text string `json:"key"`
}

// CreatedKeyOf converts a new key.
func CreatedKeyOf(k apikey.Created) CreatedKey {
	return CreatedKey{Key: KeyOf(apikey.Listed{Key: k.Key, Status: apikey.StatusActive}), Text: k.Secret}
}

// RevokedKey is a key just revoked, and whether a replica has the revocation: none, confirmed or
// unconfirmed.
type RevokedKey struct {
	keyRecord
	Replica string `json:"replica"`
}

// RevokedKeyOf converts a key just revoked.
func RevokedKeyOf(k apikey.Key, r apikey.Replicated) RevokedKey {
	return RevokedKey{keyRecord: recordOf(k, apikey.StatusRevoked), Replica: r.String()}
}
