package keyauth

// This file is what an operator may set: the options of the `keys` block, their bounds and their defaults.

import (
	"cmp"
	"errors"
	"log/slog"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// maxCacheTTL is how long a record may be trusted at most; customers are told that a revocation takes 60 seconds (specification.md, section 5).
const maxCacheTTL = 60 * time.Second

// Options say how an Auth behaves. A zero value stands for the default that the specification names.
type Options struct {
	CacheSize       int           // how many good keys are held at most; 100,000
	CacheTTL        time.Duration // how long a record is trusted; 60 s, and never more
	UnknownKeyBurst int           // how many reads for one client may end in "unknown" before it is slowed down; 100
	UnknownKeyRate  float64       // how many such reads a second it gets then; 1
	RequireChecksum bool          // refuse a key with a wrong checksum without asking Redis

	Logger   *slog.Logger     // slog.Default where nil
	Metrics  *Metrics         // counts in a Metrics of its own where nil
	ProvenAt func() time.Time // the follower's ProvenAt, for the staleness gauge; nil: never proven
}

// Validate says which option cannot work, by its name in the `keys` block.
func (o Options) Validate() error {
	switch {
	case o.CacheSize < 0:
		return errors.New("cache_size must be positive")
	case o.CacheTTL < 0 || o.CacheTTL > maxCacheTTL:
		return errors.New("cache_ttl must be positive and at most 60s: a revoked key must not work for longer, whatever fails")
	case o.UnknownKeyBurst < 0:
		return errors.New("unknown_key_burst must be positive")
	case o.UnknownKeyRate < 0 || math.IsNaN(o.UnknownKeyRate) || math.IsInf(o.UnknownKeyRate, 0):
		return errors.New("unknown_key_rate must be positive")
	}
	return nil
}

// settings is what may change while running.
type settings struct {
	cacheSize       int
	ttl             time.Duration
	unknownBurst    int
	unknownRate     rate.Limit
	requireChecksum bool
}

// settingsOf puts the specification's defaults in place. Whatever o says, no record is trusted for longer than maxCacheTTL.
func settingsOf(o Options) *settings {
	return &settings{
		cacheSize:       cmp.Or(o.CacheSize, 100_000),
		ttl:             min(cmp.Or(o.CacheTTL, maxCacheTTL), maxCacheTTL),
		unknownBurst:    cmp.Or(o.UnknownKeyBurst, 100),
		unknownRate:     rate.Limit(cmp.Or(o.UnknownKeyRate, 1)),
		requireChecksum: o.RequireChecksum,
	}
}
