package config

import (
	"context"
	"errors"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Keys is the service behind everything that creates, lists and revokes API keys.
type Keys struct {
	store *store.Store
	now   func() time.Time
}

// NewKeys returns the service over st.
func NewKeys(st *store.Store) *Keys { return &Keys{store: st, now: time.Now} }

// NewKey is the wish for a key.
type NewKey struct {
	Name      string
	ExpiresAt time.Time // zero: never
}

// CreatedKey is a key just made, with the only copy of its secret text.
type CreatedKey struct {
	Key
	Secret string // the whole key; show it once and forget it
}

// ListedKey is a key with its use.
type ListedKey struct {
	Key
	Usage
	Status string
}

// Page is one page of a list, newest first.
type Page[T any] struct {
	Items      []T
	NextCursor string // empty on the last page
}

// Replicated says whether a revocation was seen to reach a replica.
type Replicated int

// What `keys revoke` says of replicas (contract section 4).
const (
	NoReplica    Replicated = iota // there is none
	OnReplica                      // one has it
	NotOnReplica                   // none confirmed within a second
)

// Create makes a key of org.
func (k *Keys) Create(ctx context.Context, org string, n NewKey) (CreatedKey, error) {
	return CreatedKey{}, errors.New("not built yet")
}

// List returns up to limit keys of org, newest first, from cursor on (empty: the first page).
func (k *Keys) List(ctx context.Context, org string, limit int, cursor string) (Page[ListedKey], error) {
	return Page[ListedKey]{}, errors.New("not built yet")
}

// Revoke revokes the key with that id, for good. Revoking again announces again and changes nothing else. Where org is not empty, a
// key of another organization is as unknown as any.
func (k *Keys) Revoke(ctx context.Context, org, id string) (Key, Replicated, error) {
	return Key{}, NoReplica, errors.New("not built yet")
}
