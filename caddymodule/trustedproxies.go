package caddymodule

import (
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// warnOfForgedAddresses warns once about each server that trusts the leftmost address in
// X-Forwarded-For. Clients choose that address, and with it whose limit on unknown keys they use.
func (a *App) warnOfForgedAddresses(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.TrustedProxiesStrict > 0 || !trustsProxies(server) ||
		!slices.ContainsFunc(server.ClientIPHeaders, isForwardedFor) {
		return
	}
	if _, warned := a.warnedServers.LoadOrStore(server, true); warned {
		return
	}
	ctx.Slogger().Warn("trusted_proxies without trusted_proxies_strict: clients can forge their address and evade the limit "+
		"on unknown keys; add 'trusted_proxies_strict' beside 'trusted_proxies' in the global option 'servers'",
		"server", server.Name())
}

// trustsProxies reports whether trusted_proxies is configured. Caddy has emptied the exported field
// by the time that handlers are provisioned, so the private field is looked at.
func trustsProxies(server *caddyhttp.Server) bool {
	source := reflect.ValueOf(server).Elem().FieldByName("trustedProxies")
	return len(server.TrustedProxiesRaw) > 0 ||
		source.IsValid() && source.Kind() == reflect.Interface && !source.IsNil()
}

func isForwardedFor(name string) bool {
	return strings.EqualFold(name, "X-Forwarded-For")
}
