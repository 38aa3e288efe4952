package dispatcher

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// Options are the options of the `webhooks` block (specification.md, section 8), under the same
// names, and what the surrounding process provides.
type Options struct {
	RetryBackoff        []time.Duration // earliest moment of each retry after the failure before it
	Timeout             time.Duration   // of one attempt
	EndpointConcurrency int             // attempts in flight to one organization's endpoint
	MaxInFlight         int             // events held in memory
	MaxInFlightBytes    int64           // bytes of payload held in memory
	MaxPayload          int             // bytes of a payload as published
	DeadRetention       time.Duration
	DeadLimit           int
	PassMembers         map[string][]string // by event: paths of further members that leave
	PassEvents          []string            // further events, whose payload leaves as published
	AllowHTTP           bool
	AllowNetworks       []netip.Prefix
	CAFile              string        // PEM certificates trusted in addition to the system's
	GracePeriod         time.Duration // how long a shutdown waits for what is in flight

	Version string       // for User-Agent: Tenzo-Webhooks/<version>
	Logger  *slog.Logger // slog.Default if nil
	Metrics *Metrics     // a private one if nil
}

// Defaults returns the options of a `webhooks` block without lines.
func Defaults() Options {
	return Options{
		RetryBackoff:        []time.Duration{0, 2 * time.Second, 4 * time.Second},
		Timeout:             attempt.MaxTimeout,
		EndpointConcurrency: 32,
		MaxInFlight:         4096,
		MaxInFlightBytes:    256 << 20,
		MaxPayload:          payload.DefaultMaxPayload,
		DeadRetention:       queue.DefaultDeadRetention,
		DeadLimit:           queue.DefaultDeadLimit,
		GracePeriod:         35 * time.Second,
	}
}

// Validate returns an error that names the first option that cannot work, as the `webhooks` block
// spells it. New reads CAFile.
func (o Options) Validate() error {
	if len(o.RetryBackoff) > 3 {
		return errors.New("retry_backoff: must have at most 3 values, since an event has at most 4 attempts")
	}
	for _, d := range o.RetryBackoff {
		if d < 0 || d > time.Hour {
			return fmt.Errorf("retry_backoff: invalid duration %s: must be between 0s and 1h", d)
		}
	}
	for _, rule := range []struct {
		name       string
		ok         bool
		value, why any
	}{
		{"timeout", o.Timeout >= 100*time.Millisecond && o.Timeout <= attempt.MaxTimeout, o.Timeout, "between 100ms and 30s"},
		{"endpoint_concurrency", o.EndpointConcurrency >= 1, o.EndpointConcurrency, "at least 1"},
		{"max_in_flight", o.MaxInFlight >= 2, o.MaxInFlight, "at least 2"},
		{"max_payload", o.MaxPayload >= 1024, o.MaxPayload, "at least 1KiB"},
		{"dead_retention", o.DeadRetention >= time.Minute, o.DeadRetention, "at least 1m"},
		{"dead_limit", o.DeadLimit >= 1, o.DeadLimit, "at least 1"},
		{"grace_period", o.GracePeriod >= 0, o.GracePeriod, "at least 0s"},
	} {
		if !rule.ok {
			return fmt.Errorf("%s: invalid value %v: must be %v", rule.name, rule.value, rule.why)
		}
	}
	if o.MaxInFlightBytes < int64(o.MaxPayload) {
		return fmt.Errorf("max_payload %s is more than max_in_flight_bytes %s", FormatSize(int64(o.MaxPayload)), FormatSize(o.MaxInFlightBytes))
	}
	return nil
}

func (o Options) policy() *address.Policy {
	return &address.Policy{AllowHTTP: o.AllowHTTP, AllowNetworks: o.AllowNetworks}
}

func (o Options) queue() queue.Options {
	return queue.Options{MaxPayload: o.MaxPayload, DeadRetention: o.DeadRetention, DeadLimit: o.DeadLimit}
}

func (o Options) projector() (*payload.Projector, error) {
	return payload.New(payload.Options{MaxPayload: o.MaxPayload, PassMembers: o.PassMembers, PassEvents: o.PassEvents})
}

// sender reads CAFile, whose certificates are trusted in addition to the system's.
func (o Options) sender() (*attempt.Sender, error) {
	var roots *x509.CertPool
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		if roots, err = x509.SystemCertPool(); err != nil {
			roots = x509.NewCertPool() // a system without certificates of its own
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: no PEM certificate in %s", o.CAFile)
		}
	}
	return attempt.NewSender(attempt.Options{Policy: o.policy(), RootCAs: roots, Timeout: o.Timeout, Version: o.Version}), nil
}
