package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/runtime"
	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

// WebhookOptions configure how this process delivers webhooks.
type WebhookOptions struct {
	// The least delay of each retry after the failure before it; at most three. Default: 0s, 2s,
	// 4s.
	RetryBackoff []caddy.Duration `json:"retry_backoff,omitempty"`

	// How long one attempt may take. Default: 30s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How many attempts to one organization's endpoint may be in flight. Default: 32.
	EndpointConcurrency int `json:"endpoint_concurrency,omitempty"`

	// How many events are held in memory. Default: 4096.
	MaxInFlight int `json:"max_in_flight,omitempty"`

	// How many bytes of payload are held in memory. Default: 268435456 (256MiB).
	MaxInFlightBytes int64 `json:"max_in_flight_bytes,omitempty"`

	// How large a payload may be as published, in bytes; an event with a larger one is moved to
	// dead letters. Default: 1048576 (1MiB).
	MaxPayload int64 `json:"max_payload,omitempty"`

	// How long dead letters are kept. Default: 30d.
	DeadRetention caddy.Duration `json:"dead_retention,omitempty"`

	// How many dead letters are kept; the oldest are dropped first. Default: 1000000.
	DeadLimit int `json:"dead_limit,omitempty"`

	// Further members of payloads that may leave, beyond those documented to customers: paths by
	// event, such as `{"note.finalized": ["meeting.location"]}`. Default: none.
	PassMembers map[string][]string `json:"pass_members,omitempty"`

	// Further events, whose payload leaves as published; each name becomes the value of a metric
	// label. Default: none.
	PassEvents []string `json:"pass_events,omitempty"`

	// Allow `http://` webhooks; for development. Default: false.
	AllowHTTP bool `json:"allow_http,omitempty"`

	// Networks that webhooks may reach although they are not public, in CIDR notation; for
	// development. Default: none.
	AllowNetworks []string `json:"allow_networks,omitempty"`

	// A file of PEM certificates that are trusted in addition to the system's. Default: none.
	CAFile string `json:"ca_file,omitempty"`

	// How long a shutdown waits for deliveries in flight; then other processes take over the rest
	// at once. Default: 35s.
	GracePeriod caddy.Duration `json:"grace_period,omitempty"`
}

// dispatcherConfig returns the dispatcher's options: the defaults, overridden by what is
// configured.
func (w *WebhookOptions) dispatcherConfig() (*runtime.DispatcherConfig, error) {
	o := dispatcher.Defaults()
	o.Version = version()
	if w.RetryBackoff != nil {
		o.RetryBackoff = make([]time.Duration, len(w.RetryBackoff))
		for i, d := range w.RetryBackoff {
			o.RetryBackoff[i] = time.Duration(d)
		}
	}
	override(&o.Timeout, time.Duration(w.Timeout))
	override(&o.EndpointConcurrency, w.EndpointConcurrency)
	override(&o.MaxInFlight, w.MaxInFlight)
	override(&o.MaxInFlightBytes, w.MaxInFlightBytes)
	override(&o.MaxPayload, int(w.MaxPayload))
	override(&o.DeadRetention, time.Duration(w.DeadRetention))
	override(&o.DeadLimit, w.DeadLimit)
	override(&o.GracePeriod, time.Duration(w.GracePeriod))
	o.PassMembers = w.PassMembers
	o.PassEvents = slices.Clone(w.PassEvents)
	o.AllowHTTP = w.AllowHTTP
	o.CAFile = w.CAFile
	var err error
	if o.AllowNetworks, err = address.ParseNetworks(w.AllowNetworks); err != nil {
		return nil, fmt.Errorf("allow_networks: %w", err)
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	key, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	return &runtime.DispatcherConfig{Options: o, Key: string(key)}, nil
}

// override sets an option if it is configured.
func override[T comparable](option *T, configured T) {
	var absent T
	if configured != absent {
		*option = configured
	}
}
