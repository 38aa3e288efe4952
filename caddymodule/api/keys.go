package api

// This file serves API keys.

import (
	"net/http"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/apimodel"
	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
)

// createKey creates a key. Its answer is the only place that ever contains the key itself.
func (a *API) createKey(w http.ResponseWriter, r *http.Request, s scope) error {
	var body struct {
		Name      string           `json:"name"`
		ExpiresAt optional[string] `json:"expires_at"`
	}
	if err := readBody(w, r, maxBody, &body); err != nil {
		return err
	}
	params := apikey.Params{Name: body.Name}
	if body.ExpiresAt.set && !body.ExpiresAt.null {
		at, err := apikey.ParseExpiryTime(body.ExpiresAt.value)
		if err != nil {
			return err
		}
		params.ExpiresAt = at
	}
	created, err := a.services.Keys.Create(r.Context(), s.org, params)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "keys/"+created.ID)
	return writeJSON(w, http.StatusCreated, apimodel.CreatedKeyOf(created))
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
	return writeJSON(w, http.StatusOK, apimodel.ListOf(page, apimodel.KeyOf))
}

func (a *API) revokeKey(w http.ResponseWriter, r *http.Request, s scope) error {
	id := r.PathValue("id")
	if !config.ValidID(id) {
		return apikey.ErrNotFound
	}
	k, replicated, err := a.services.Keys.Revoke(r.Context(), s.org, id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, apimodel.RevokedKeyOf(k, replicated))
}
