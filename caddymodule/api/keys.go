package api

// API keys.

import (
	"net/http"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

// keyView is a key as the API shows it: the fields of contract section 4, its use and its state.
type keyView struct {
	ID         string     `json:"id"`
	OrgID      string     `json:"org_id"`
	Name       string     `json:"name"`
	Hint       string     `json:"hint"`
	Status     string     `json:"status"`
	CreatedAt  *time.Time `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	UsageCount int64      `json:"usage_count"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func viewKey(k config.ListedKey) keyView {
	return keyView{
		ID: k.ID, OrgID: k.OrgID, Name: k.Name, Hint: k.Hint, Status: k.Status,
		CreatedAt: timeOrNull(k.CreatedAt), ExpiresAt: timeOrNull(k.ExpiresAt), RevokedAt: timeOrNull(k.RevokedAt),
		UsageCount: k.Count, LastUsedAt: timeOrNull(k.LastUsedAt),
	}
}

// createKey makes a key. This answer is the only place where the key itself ever stands.
func (a *API) createKey(w http.ResponseWriter, r *http.Request, s scope) error {
	var body struct {
		Name      string         `json:"name"`
		ExpiresAt member[string] `json:"expires_at"`
	}
	if err := readBody(w, r, maxBody, &body); err != nil {
		return err
	}
	wish := config.NewKey{Name: body.Name}
	if body.ExpiresAt.set && !body.ExpiresAt.null {
		at, err := config.ParseExpiryTime(body.ExpiresAt.value)
		if err != nil {
			return err
		}
		wish.ExpiresAt = at
	}
	made, err := a.services.Keys.Create(r.Context(), s.org, wish)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "keys/"+made.ID)
	return writeJSON(w, http.StatusCreated, struct {
		keyView
		Key string `json:"key"`
	}{viewKey(config.ListedKey{Key: made.Key, Status: config.StatusActive}), made.Secret})
}

func (a *API) listKeys(w http.ResponseWriter, r *http.Request, s scope) error {
	limit, cursor, err := paging(r)
	if err != nil {
		return err
	}
	page, err := a.services.Keys.List(r.Context(), s.org, limit, cursor)
	if err != nil {
		return err
	}
	return writePage(w, page, viewKey)
}

// revokedView is the answer to revoking a key.
type revokedView struct {
	ID        string     `json:"id"`
	OrgID     string     `json:"org_id"`
	Name      string     `json:"name"`
	Hint      string     `json:"hint"`
	Status    string     `json:"status"`
	CreatedAt *time.Time `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at"`
	Replica   string     `json:"replica"` // whether a replica was seen to have it
}

// replicaWords say what is known of replicas.
var replicaWords = map[config.Replicated]string{
	config.NoReplica:    "none",
	config.OnReplica:    "confirmed",
	config.NotOnReplica: "unconfirmed",
}

func (a *API) revokeKey(w http.ResponseWriter, r *http.Request, s scope) error {
	id := r.PathValue("id")
	if !config.ValidID(id) {
		return config.ErrKeyNotFound
	}
	k, replicated, err := a.services.Keys.Revoke(r.Context(), s.org, id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, revokedView{
		ID: k.ID, OrgID: k.OrgID, Name: k.Name, Hint: k.Hint, Status: config.StatusRevoked,
		CreatedAt: timeOrNull(k.CreatedAt), ExpiresAt: timeOrNull(k.ExpiresAt), RevokedAt: timeOrNull(k.RevokedAt),
		Replica: replicaWords[replicated],
	})
}
