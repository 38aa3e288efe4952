package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/devtools"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
)

// DeveloperTools serves the page on which the members of an organization create API keys and set
// their webhook, and the HTTP API of that page, at `api/…` relative to the page. A handler in front
// of it, such as `forward_auth`, decides who the caller is. Requests without an organization get
// 403, and so do requests that an API key admitted.
type DeveloperTools struct {
	// Required: the placeholder for the organization's id of a request; exactly one placeholder,
	// never a literal.
	Org string `json:"org,omitempty"`

	// Confirms that a handler in front of this one overwrites what clients send for `org`. Required
	// if `org` is a placeholder under `http.request.`, which clients could set. Default: false.
	Trusted bool `json:"trusted,omitempty"`

	// The addresses that webhooks are sent from, shown to customers who must open their firewall.
	// Default: none are shown.
	SourceAddresses []string `json:"source_addresses,omitempty"`

	// The origins that may embed the page, such as `https://app.example.com`. Default: none.
	FrameAncestors []string `json:"frame_ancestors,omitempty"`

	app     *App
	handler devtools.Handler
	located sync.Once
	mounts  []string // where routes lead to this handler; nil: unknown
}

// CaddyModule returns the Caddy module information.
func (*DeveloperTools) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: idDeveloperTools, New: func() caddy.Module { return new(DeveloperTools) }}
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	tenzo_developer_tools [<matcher>] {
//	    org <placeholder> [trusted]
//	    source_addresses <addresses...>
//	    frame_ancestors <origins...>
//	}
func (t *DeveloperTools) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	if d.NextArg() {
		return d.Err("tenzo_developer_tools takes no arguments except a matcher")
	}
	err := parseBlock(d, "tenzo_developer_tools", []subdirective{
		{name: "org", min: 1, max: 2, set: func(args []string) error {
			t.Org = args[0]
			if len(args) == 2 {
				if args[1] != "trusted" {
					return fmt.Errorf("the placeholder may be followed only by 'trusted', not by '%s'", args[1])
				}
				t.Trusted = true
			}
			return nil
		}},
		texts("source_addresses", &t.SourceAddresses),
		texts("frame_ancestors", &t.FrameAncestors),
	})
	if err != nil {
		return err
	}
	if err := t.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Provision gets the HTTP API of this configuration's app.
func (t *DeveloperTools) Provision(ctx caddy.Context) error {
	app, err := appOf(ctx)
	if err != nil {
		return err
	}
	t.app = app
	t.handler = devtools.Handler{API: app.api, SourceAddresses: t.SourceAddresses, FrameAncestors: t.FrameAncestors}
	if app.dispatcherConfig != nil {
		t.handler.Events = append(payload.Events(), app.dispatcherConfig.Options.PassEvents...)
	}
	return nil
}

// Validate refuses an `org` that would let callers choose their organization, and other options
// that cannot work.
func (t *DeveloperTools) Validate() error {
	name, ok := singlePlaceholder(t.Org)
	switch {
	case t.Org == "":
		return errors.New("tenzo_developer_tools needs the option 'org': the placeholder for a request's organization")
	case !ok:
		return errors.New("org must be exactly one placeholder, such as {http.vars.org}: with a literal, everybody who opens the page would act for the same organization")
	case strings.HasPrefix(name, "http.request.") && !t.Trusted:
		return fmt.Errorf("org: clients can set {%[1]s} themselves; if a handler in front of this one overwrites what they send, confirm it with: org {%[1]s} trusted", name)
	}
	return (&devtools.Handler{SourceAddresses: t.SourceAddresses, FrameAncestors: t.FrameAncestors}).Validate()
}

// singlePlaceholder returns the name of the placeholder if s is exactly one.
func singlePlaceholder(s string) (name string, ok bool) {
	inner, opened := strings.CutPrefix(s, "{")
	name, closed := strings.CutSuffix(inner, "}")
	return name, opened && closed && name != "" && !strings.ContainsAny(name, "{}\\")
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. It answers every request and never calls the
// next handler.
func (t *DeveloperTools) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	_ = t.app.begin() // if it fails, the API answers with the reason
	ctx := r.Context()
	t.located.Do(func() { // not while provisioning: the routes are not complete yet
		if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok {
			t.mounts = mountsOf(server.Routes, t)
		}
	})
	caller := devtools.Caller{Mounts: t.mounts, ByAPIKey: caddyhttp.GetVar(ctx, varByKey) != nil}
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		caller.Org = repl.ReplaceAll(t.Org, "")
	}
	if original, ok := ctx.Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		caller.Path = original.URL.Path
	}
	t.handler.Serve(w, r, caller)
	return nil
}
