package caddymodule

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

// Admin serves the HTTP API under `/tenzo/` on Caddy's admin endpoint, for any organization. Caddy makes it before the apps, and never
// cleans it up, so it asks for the active configuration's app with every request.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: idAdmin, New: func() caddy.Module { return new(Admin) }}
}

// Provision implements caddy.Provisioner.
func (*Admin) Provision(caddy.Context) error { return nil }

// Routes implements caddy.AdminRouter.
func (a *Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/tenzo/", Handler: caddy.AdminHandlerFunc(a.serve)}}
}

func (*Admin) serve(w http.ResponseWriter, r *http.Request) error {
	m, err := caddy.ActiveContext().AppIfConfigured(idApp)
	if err != nil {
		if errors.Is(err, caddy.ErrNotConfigured) {
			err = errors.New("the active configuration does not use tenzo")
		}
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: fmt.Errorf("no store: %w", err)}
	}
	m.(*App).api.Admin().ServeHTTP(w, r)
	return nil
}
