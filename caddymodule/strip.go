package caddymodule

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Strip removes every `X-Tenzo-*` header and trailer of the client, and an `Authorization` that
// holds one of our API keys, and nothing else. It is for routes without `tenzo_auth`, so that
// clients cannot pose as an organization there either, and no upstream gets a key. The upstream
// must treat a missing organization as an error.
type Strip struct{}

// CaddyModule returns the Caddy module information.
func (Strip) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: idStrip, New: func() caddy.Module { return new(Strip) }}
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	tenzo_strip [<matcher>]
func (*Strip) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Err("tenzo_strip takes no arguments")
	}
	return parseBlock(d, "tenzo_strip", nil)
}

// Provision sees to it that the logs of this configuration show no keys.
func (*Strip) Provision(ctx caddy.Context) error {
	keepKeysOutOfLogs(ctx)
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (*Strip) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	stripIdentity(r, stripOwnCredentials)
	return next.ServeHTTP(w, r)
}
