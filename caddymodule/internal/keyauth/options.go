package keyauth

// This file holds what an operator may set: the options of the `keys` block, their bounds and their
// defaults.

import (
	"errors"
	"log/slog"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// maxCacheTTL is how long a record may be trusted at most. Customers are told that a revocation
// takes 60 seconds at most (specification.md, section 5).
const maxCacheTTL = 60 * time.Second

// Options are those of the `keys` block (specification.md, section 8), under the same names, and
// what the process around gives. Defaults fills the former.
type Options struct {
	CacheSize int           // how many valid keys are held at most
	CacheTTL  time.Duration // how long a record is trusted; at most 60 s
	// How many unknown keys a client may send before it is slowed down.
	UnknownKeyBurst int
	UnknownKeyRate  float64 // how many of them a second the client may send then
	RequireChecksum bool    // refuse a key with a wrong checksum without asking Redis

	Logger   *slog.Logger     // nil: slog.Default
	Metrics  *Metrics         // nil: a private one
	ProvenAt func() time.Time // the follower's ProvenAt, for the staleness gauge; nil: never proven
}

// Defaults returns the options of a `keys` block without lines.
func Defaults() Options {
	return Options{CacheSize: 100_000, CacheTTL: maxCacheTTL, UnknownKeyBurst: 100, UnknownKeyRate: 1}
}

// Validate returns an error that begins with the name of an option that cannot work.
func (o Options) Validate() error {
	switch {
	case o.CacheSize <= 0:
		return errors.New("cache_size must be positive")
	case o.CacheTTL <= 0 || o.CacheTTL > maxCacheTTL:
		return errors.New("cache_ttl must be positive and at most 60s: a revoked key must not work for longer, whatever fails")
	case o.UnknownKeyBurst <= 0:
		return errors.New("unknown_key_burst must be positive")
	case !(o.UnknownKeyRate > 0) || math.IsInf(o.UnknownKeyRate, 0): // NaN is not positive either
		return errors.New("unknown_key_rate must be positive")
	}
	return nil
}

// withDependencies fills what the process around did not give.
func withDependencies(o Options) Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	if o.ProvenAt == nil {
		o.ProvenAt = func() time.Time { return time.Time{} }
	}
	return o
}

// settings is what Reconfigure replaces.
type settings struct {
	cacheSize       int
	ttl             time.Duration
	unknownBurst    int
	unknownRate     rate.Limit
	requireChecksum bool
}

// settingsOf returns the settings of valid options. Whatever o says, no record is trusted for
// longer than maxCacheTTL.
func settingsOf(o Options) *settings {
	return &settings{
		cacheSize:       o.CacheSize,
		ttl:             min(o.CacheTTL, maxCacheTTL),
		unknownBurst:    o.UnknownKeyBurst,
		unknownRate:     rate.Limit(o.UnknownKeyRate),
		requireChecksum: o.RequireChecksum,
	}
}
