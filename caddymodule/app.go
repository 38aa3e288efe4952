package caddymodule

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/api"
	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth"
	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/runtime"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

var (
	errInvalidPrefix = errors.New("must not be empty and must not contain braces or spaces")
	errCleanedUp     = errors.New("the configuration has been replaced")
)

// App holds what all parts of tenzo-gateway share: one Redis with API keys, their usage, and
// webhooks.
//
// Sites work without configuring it: without the global option `tenzo` the app uses its defaults.
type App struct {
	// The Redis that holds keys, webhooks and events: a `redis://`, `rediss://` or `unix://` URL,
	// or the word `embedded` for a trial server in this process that keeps everything in memory. A
	// literal password is refused, because every dump of the configuration would show it: use
	// `{env.*}`, `{file.*}` or the URL's parameter `password_file`. Default:
	// `{env.TENZO_REDIS_URL}`.
	Redis string `json:"redis,omitempty"`

	// The prefix of every key in Redis, without braces and spaces. Default: `tenzo:`.
	KeyPrefix string `json:"key_prefix,omitempty"`

	// How API keys are looked up and cached.
	Keys *KeyOptions `json:"keys,omitempty"`

	// If present, this process delivers webhooks, with these options. Default: absent; another
	// process delivers them.
	Webhooks *WebhookOptions `json:"webhooks,omitempty"`

	began    sync.Once // see begin
	beginErr error

	runtime          *runtime.Runtime
	generation       *runtime.Generation
	releaseRuntime   func() error // set only while this instance holds a reference to runtime
	api              *api.API
	closeAPI         func()                    // set with api
	dispatcherConfig *runtime.DispatcherConfig // nil without `webhooks`
	dispatcher       atomic.Pointer[dispatcher.Dispatcher]

	warnedServers     sync.Map     // the servers that warnOfForgedAddresses warned about
	releaseDispatcher func() error // set only while this instance holds a reference to dispatcher
}

// KeyOptions configure how API keys are looked up and cached.
type KeyOptions struct {
	// How many verified keys are cached. Default: 100000.
	CacheSize int `json:"cache_size,omitempty"`

	// How long a verified key is trusted without reading it again, counted from before the read; at
	// most 60s. Default: 60s.
	CacheTTL caddy.Duration `json:"cache_ttl,omitempty"`

	// How many unknown keys one client address (IPv6: one /64) may try before it is limited to
	// `unknown_key_rate`. Default: 100.
	UnknownKeyBurst int `json:"unknown_key_burst,omitempty"`

	// How many unknown keys a second a client address may try after the burst. Default: 1.
	UnknownKeyRate float64 `json:"unknown_key_rate,omitempty"`

	// Refuse keys with a wrong checksum without asking Redis. Only for deployments whose keys were
	// all created by this program. Default: false.
	RequireChecksum bool `json:"require_checksum,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: idApp, New: func() caddy.Module { return new(App) }}
}

// Provision validates the options and acquires the Runtime. It dials nothing, because `caddy
// validate` calls it too. Handlers may use the app as soon as Provision has returned: Caddy starts
// apps in no particular order.
func (a *App) Provision(ctx caddy.Context) error {
	target, err := resolveRedis(a.Redis)
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if a.KeyPrefix == "" {
		a.KeyPrefix = store.DefaultPrefix
	}
	if !store.ValidPrefix(a.KeyPrefix) {
		return fmt.Errorf("key_prefix: %w", errInvalidPrefix)
	}
	target.Prefix = a.KeyPrefix
	auth, err := a.Keys.options()
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if a.Webhooks != nil {
		if a.dispatcherConfig, err = a.Webhooks.dispatcherConfig(); err != nil {
			return fmt.Errorf("webhooks: %w", err)
		}
	}

	a.generation = &runtime.Generation{Log: ctx.Slogger().Handler(), Keys: auth}
	if a.runtime, a.releaseRuntime, err = runtime.Acquire(target, a.generation); err != nil {
		return err
	}
	// Without `webhooks`, only public HTTPS addresses may be saved and tested.
	deliveries := dispatcher.Defaults()
	deliveries.Version = version()
	if a.dispatcherConfig != nil {
		deliveries = a.dispatcherConfig.Options
		if err := runtime.DrainOnStopping(ctx, &a.dispatcher); err != nil {
			return err
		}
	}
	if a.api, a.closeAPI, err = a.runtime.NewAPI(deliveries); err != nil {
		return err
	}
	return runtime.RegisterMetrics(ctx.GetMetricsRegistry(), a.Webhooks != nil)
}

// Start lets the Runtime contact Redis and, with a `webhooks` block, deliver webhooks.
func (a *App) Start() error {
	if err := a.begin(); err != nil {
		return err
	}
	if a.dispatcherConfig == nil {
		return nil
	}
	d, release, err := a.runtime.Dispatch(a.dispatcherConfig)
	if err != nil {
		return fmt.Errorf("webhooks: %w", err)
	}
	a.releaseDispatcher = release
	a.dispatcher.Store(d)
	return nil
}

// begin makes the configuration current and lets its Runtime contact Redis. Only the first call
// does anything. Start calls it, and so do the handlers with each request: Caddy starts apps one
// after the other, in no particular order, and one that starts between http and this app may take
// seconds. A request is proof that the configuration is being started, and not only validated.
func (a *App) begin() error {
	a.began.Do(func() {
		a.runtime.Activate(a.generation)
		a.beginErr = a.runtime.Start()
	})
	return a.beginErr
}

// Stop ends this configuration's deliveries. On a reload the new configuration has started by now;
// if its options are the same, the dispatcher keeps running undisturbed. Everything else stays
// usable until Cleanup, because the http app may stop later than this one.
func (a *App) Stop() error {
	if a.releaseDispatcher == nil {
		return nil
	}
	release := a.releaseDispatcher
	a.releaseDispatcher = nil
	a.dispatcher.Store(nil)
	return release()
}

// Cleanup releases the Runtime. Caddy calls it after a failed Provision too.
func (a *App) Cleanup() error {
	if a.releaseRuntime == nil {
		return nil
	}
	release := a.releaseRuntime
	a.releaseRuntime = nil
	a.began.Do(func() { a.beginErr = errCleanedUp }) // a late request must not activate it any more
	a.runtime.Deactivate(a.generation)
	if a.closeAPI != nil {
		a.closeAPI()
	}
	return release()
}

// options returns valid options of package keyauth, with the defaults for what is not configured.
// The receiver may be nil.
func (k *KeyOptions) options() (keyauth.Options, error) {
	o := keyauth.Defaults()
	if k == nil {
		return o, nil
	}
	override(&o.CacheSize, k.CacheSize)
	override(&o.CacheTTL, time.Duration(k.CacheTTL))
	override(&o.UnknownKeyBurst, k.UnknownKeyBurst)
	override(&o.UnknownKeyRate, k.UnknownKeyRate)
	o.RequireChecksum = k.RequireChecksum
	return o, o.Validate()
}

// appOf returns the app of ctx's configuration. If the configuration has none, Caddy creates it
// with its defaults.
func appOf(ctx caddy.Context) (*App, error) {
	m, err := ctx.App(idApp)
	if err != nil {
		return nil, fmt.Errorf("getting the tenzo app: %w", err)
	}
	return m.(*App), nil
}
