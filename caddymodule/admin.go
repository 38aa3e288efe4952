package caddymodule

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// Admin serves the HTTP API under `/tenzo/` on Caddy's admin endpoint, for any organization. Caddy
// creates it before the apps, and never cleans it up, so Admin looks up the active configuration's
// app with every request.
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
		detail := "the active configuration does not use tenzo"
		if !errors.Is(err, caddy.ErrNotConfigured) {
			detail = "the tenzo app of the active configuration cannot be used"
		}
		problem.Write(w, r, &problem.Error{Status: http.StatusServiceUnavailable, Code: "not_configured", Detail: detail})
		return nil
	}
	m.(*App).api.Admin().ServeHTTP(w, r)
	return nil
}
