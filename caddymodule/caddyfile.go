package caddymodule

import (
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// parseGlobalOption turns the global option `tenzo` into the app's JSON.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next() // to the option's name, whose line the error shows
		return nil, d.Err("duplicate global option 'tenzo'")
	}
	a := new(App)
	if err := a.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: idApp, Value: caddyconfig.JSON(a, nil)}, nil
}

// directive is a handler that parses its own Caddyfile syntax.
type directive[T any] interface {
	*T
	caddyhttp.MiddlewareHandler
	caddyfile.Unmarshaler
}

// parseDirective creates a handler from a directive's tokens.
func parseDirective[T any, P directive[T]](h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := P(new(T))
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return handler, nil
}

// UnmarshalCaddyfile sets up the app from the global option. Every line is optional. Syntax:
//
//	tenzo {
//	    redis      <url>|embedded
//	    key_prefix <prefix>
//	    keys {
//	        cache_size        <keys>
//	        cache_ttl         <duration>
//	        unknown_key_burst <keys>
//	        unknown_key_rate  <keys per second>
//	        require_checksum
//	    }
//	    webhooks {
//	        ...
//	    }
//	}
//
// WebhookOptions documents the options in webhooks.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume option name
	if d.NextArg() {
		return d.Err("global option 'tenzo' takes a block and no arguments")
	}
	return parseBlock(d, "tenzo", []subdirective{
		{name: "redis", min: 1, max: 1, set: func(args []string) error {
			if store.LiteralPassword(args[0]) {
				return errLiteralPassword
			}
			a.Redis = args[0]
			return nil
		}},
		{name: "key_prefix", min: 1, max: 1, set: func(args []string) error {
			if !store.ValidPrefix(args[0]) {
				return errInvalidPrefix
			}
			a.KeyPrefix = args[0]
			return nil
		}},
		{name: "keys", block: func(d *caddyfile.Dispenser) error {
			a.Keys = new(KeyOptions)
			return a.Keys.unmarshal(d)
		}},
		{name: "webhooks", block: func(d *caddyfile.Dispenser) error {
			a.Webhooks = new(WebhookOptions)
			return a.Webhooks.unmarshal(d)
		}},
	})
}

func (k *KeyOptions) unmarshal(d *caddyfile.Dispenser) error {
	err := parseBlock(d, "keys", []subdirective{
		count("cache_size", &k.CacheSize),
		duration("cache_ttl", &k.CacheTTL),
		count("unknown_key_burst", &k.UnknownKeyBurst),
		{name: "unknown_key_rate", min: 1, max: 1, set: func(args []string) error {
			rate, err := strconv.ParseFloat(args[0], 64)
			if err != nil || !(rate > 0) {
				return fmt.Errorf("invalid number %q: must be positive", args[0])
			}
			k.UnknownKeyRate = rate
			return nil
		}},
		flag("require_checksum", &k.RequireChecksum),
	})
	if err != nil {
		return err
	}
	if _, err := k.options(); err != nil {
		return d.Errf("keys: %v", err)
	}
	return nil
}

func (w *WebhookOptions) unmarshal(d *caddyfile.Dispenser) error {
	err := parseBlock(d, "webhooks", []subdirective{
		{name: "retry_backoff", min: 1, max: many, set: func(args []string) error {
			for _, arg := range args {
				pause, err := config.ParseDuration(arg)
				if err != nil {
					return err
				}
				w.RetryBackoff = append(w.RetryBackoff, caddy.Duration(pause))
			}
			return nil
		}},
		duration("timeout", &w.Timeout),
		count("endpoint_concurrency", &w.EndpointConcurrency),
		count("max_in_flight", &w.MaxInFlight),
		size("max_in_flight_bytes", &w.MaxInFlightBytes),
		size("max_payload", &w.MaxPayload),
		duration("dead_retention", &w.DeadRetention),
		count("dead_limit", &w.DeadLimit),
		{name: "pass_members", min: 2, max: many, repeat: true, set: func(args []string) error {
			if w.PassMembers == nil {
				w.PassMembers = map[string][]string{}
			}
			w.PassMembers[args[0]] = append(w.PassMembers[args[0]], args[1:]...)
			return nil
		}},
		{name: "pass_event", min: 1, max: many, repeat: true, set: func(args []string) error {
			w.PassEvents = append(w.PassEvents, args...)
			return nil
		}},
		flag("allow_http", &w.AllowHTTP),
		texts("allow_networks", &w.AllowNetworks),
		text("ca_file", &w.CAFile),
		duration("grace_period", &w.GracePeriod),
	})
	if err != nil {
		return err
	}
	if _, err := w.dispatcherConfig(); err != nil {
		return d.Errf("webhooks: %v", err)
	}
	return nil
}
