package apimodel

// API keys.

import (
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
)

// keyRecord is what every view of a key begins with.
type keyRecord struct {
	ID        string     `json:"id"`
	OrgID     string     `json:"org_id"`
	Name      string     `json:"name"`
	Hint      string     `json:"hint"`
	Status    string     `json:"status"`
	CreatedAt *time.Time `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at"`
}

func recordOf(k apikey.Key, status string) keyRecord {
	return keyRecord{
		ID: k.ID, OrgID: k.OrgID, Name: k.Name, Hint: k.Hint, Status: status,
		CreatedAt: timeOrNull(k.CreatedAt), ExpiresAt: timeOrNull(k.ExpiresAt), RevokedAt: timeOrNull(k.RevokedAt),
	}
}

// Key is a key with its state and its use.
type Key struct {
	keyRecord
	UsageCount int64      `json:"usage_count"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// KeyOf shows a key of a list.
func KeyOf(k apikey.Listed) Key {
	return Key{keyRecord: recordOf(k.Key, k.Status), UsageCount: k.Count, LastUsedAt: timeOrNull(k.LastUsedAt)}
}

// CreatedKey is a key just made, with the only copy of its text.
type CreatedKey struct {
	Key
	Text string `json:"key"`
}

// CreatedKeyOf shows a key just made.
func CreatedKeyOf(k apikey.Created) CreatedKey {
	return CreatedKey{Key: KeyOf(apikey.Listed{Key: k.Key, Status: apikey.StatusActive}), Text: k.Secret}
}

// RevokedKey is a key just revoked, and what is known of replicas: none, confirmed or unconfirmed.
type RevokedKey struct {
	keyRecord
	Replica string `json:"replica"`
}

// RevokedKeyOf shows a key just revoked.
func RevokedKeyOf(k apikey.Key, r apikey.Replicated) RevokedKey {
	return RevokedKey{keyRecord: recordOf(k, apikey.StatusRevoked), Replica: r.String()}
}
