package api

import "net/http"

func (a *API) getOpenAPI(w http.ResponseWriter, r *http.Request, s scope) error {
	return writeJSON(w, http.StatusOK, map[string]string{"openapi": "3.1.0"})
}
