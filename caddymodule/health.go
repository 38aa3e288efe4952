package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/health"
)

// Health answers `/livez` and `/readyz`; other paths go to the next handler. `/livez` is 200 while
// the process serves. `/readyz` is 503 before the first contact with an initialized Redis, and
// while the process shuts down; otherwise it is 200 with a JSON object that names what is wrong. A
// later outage does not take away a gateway that still serves cached keys.
type Health struct {
	app *App
}

// CaddyModule returns the Caddy module information.
func (Health) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: idHealth, New: func() caddy.Module { return new(Health) }}
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	tenzo_health [<matcher>]
func (*Health) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Err("tenzo_health takes no arguments except a matcher")
	}
	return parseBlock(d, "tenzo_health", nil)
}

// Provision gets this configuration's app.
func (h *Health) Provision(ctx caddy.Context) (err error) {
	h.app, err = appOf(ctx)
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if health.Serve(w, r, h.app.report) {
		return nil
	}
	return next.ServeHTTP(w, r)
}

// report is what /readyz says about this process: its contact with Redis, and its dispatcher if it
// has one.
func (a *App) report() health.Report {
	if caddy.Exiting() {
		return health.Report{Problems: map[string]string{"process": "is shutting down"}}
	}
	_ = a.begin() // if it fails, the readiness says so
	reports := []health.Report{a.runtime.Readiness()}
	if d := a.dispatcher.Load(); d != nil {
		// A problem of the dispatcher does not make the gateway unready: a Redis that refuses
		// writes still answers for keys.
		reports = append(reports, health.Report{Ready: true, Problems: d.Ready().Problems})
	}
	return health.Join(reports...)
}
