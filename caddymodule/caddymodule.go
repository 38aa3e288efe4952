// Package caddymodule contains the Caddy modules of tenzo-gateway: the app `tenzo` with its global
// option, the handlers that check API keys, the health endpoints, Developer Tools, and the
// commands.
//
// The modules are thin, and Caddy creates them anew with every configuration. What must outlive a
// reload (the connection to Redis, cached keys, counts not flushed yet, deliveries in flight)
// belongs to package runtime, in pools that count references.
//
// This file is the table of contents: it holds every registration and every interface guard.
package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/command"
	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/runtime"
)

// BinaryName is the name of the program in its own help.
const BinaryName = "tenzo-gateway"

// Module ids (specification.md, section 8).
const (
	idApp            = "tenzo"
	idAuth           = "http.handlers.tenzo_auth"
	idStrip          = "http.handlers.tenzo_strip"
	idDeveloperTools = "http.handlers.tenzo_developer_tools"
	idHealth         = "http.handlers.tenzo_health"
	idAdmin          = "admin.api.tenzo"
)

func init() {
	caddy.CustomBinaryName = BinaryName
	caddy.CustomVersion = version()
	caddy.CustomLongDescription = longDescription

	caddy.RegisterModule(new(App))
	caddy.RegisterModule(Auth{})
	caddy.RegisterModule(Strip{})
	caddy.RegisterModule(new(DeveloperTools))
	caddy.RegisterModule(Health{})
	caddy.RegisterModule(Admin{})

	httpcaddyfile.RegisterGlobalOption("tenzo", parseGlobalOption)
	httpcaddyfile.RegisterHandlerDirective("tenzo_auth", parseDirective[Auth])
	httpcaddyfile.RegisterHandlerDirective("tenzo_strip", parseDirective[Strip])
	httpcaddyfile.RegisterHandlerDirective("tenzo_developer_tools", parseDirective[DeveloperTools])
	httpcaddyfile.RegisterHandlerDirective("tenzo_health", parseDirective[Health])

	// Anchors must be standard directives, and the directive that is registered later comes first.
	// tenzo_strip must come before tenzo_auth: otherwise it would remove the organization that
	// tenzo_auth has just verified.
	httpcaddyfile.RegisterDirectiveOrder("tenzo_auth", httpcaddyfile.After, "basic_auth")
	httpcaddyfile.RegisterDirectiveOrder("tenzo_strip", httpcaddyfile.After, "basic_auth")
	httpcaddyfile.RegisterDirectiveOrder("tenzo_developer_tools", httpcaddyfile.Before, "respond")
	httpcaddyfile.RegisterDirectiveOrder("tenzo_health", httpcaddyfile.Before, "respond")

	// Caddy gives plugins no access to its root command. It adds the commands in the order of
	// registration, so the second one finds it as the parent of the first.
	var first *cobra.Command
	for i, c := range command.All(version()) {
		setup := func(cmd *cobra.Command) {
			c.Setup(cmd)
			switch i {
			case 0:
				first = cmd
			case 1:
				command.AdaptRoot(first.Root())
			}
		}
		caddycmd.RegisterCommand(caddycmd.Command{Name: c.Name, Usage: c.Usage, Short: c.Short, Long: c.Long, CobraFunc: setup})
	}

	caddy.OnExit(runtime.FinishTeardowns)
	caddy.OnExit(runtime.CloseEmbedded) // after the teardowns: hooks run in order of registration
}

const longDescription = `tenzo-gateway is Caddy with one more module compiled in. It stands in front of Tenzo's Public API,
admits requests with a valid API key, counts the usage of each key, and passes the requests to the
upstream with the identity of the organization. In the same process, or as a companion process
(dispatch), it delivers webhooks from a Redis stream.

To try it: ./xcaddy.sh run. Its own commands are init, keys, webhook, events and dispatch; all
others are Caddy's.`

// Interface guards
var (
	_ caddy.App             = (*App)(nil)
	_ caddy.Provisioner     = (*App)(nil)
	_ caddy.CleanerUpper    = (*App)(nil)
	_ caddyfile.Unmarshaler = (*App)(nil)

	_ caddy.Provisioner           = (*Auth)(nil)
	_ caddyhttp.MiddlewareHandler = (*Auth)(nil)
	_ caddyfile.Unmarshaler       = (*Auth)(nil)

	_ caddyhttp.MiddlewareHandler = (*Strip)(nil)
	_ caddyfile.Unmarshaler       = (*Strip)(nil)

	_ caddy.Provisioner           = (*DeveloperTools)(nil)
	_ caddy.Validator             = (*DeveloperTools)(nil)
	_ caddyhttp.MiddlewareHandler = (*DeveloperTools)(nil)
	_ caddyfile.Unmarshaler       = (*DeveloperTools)(nil)

	_ caddy.Provisioner           = (*Health)(nil)
	_ caddyhttp.MiddlewareHandler = (*Health)(nil)
	_ caddyfile.Unmarshaler       = (*Health)(nil)

	_ caddy.Provisioner = (*Admin)(nil)
	_ caddy.AdminRouter = (*Admin)(nil)
)
