// Package keyauth decides, from the values of an Authorization header, whether a request carries a
// valid API key. It is the hot path: a held key costs one SHA-256, one lookup in a sharded LRU and
// two counts, and allocates nothing.
//
// The package knows no Caddy. [Auth.Authenticate] returns the verdict and counts it,
// [WriteRefusal] answers a refused request, [Auth] is the changes.KeyHandler that stops trusting
// changed keys, and [Auth.Run] refreshes held keys and writes usage counts to Redis.
//
// # The way of a credential
//
// Authenticate (authenticate.go) goes through the files in this order:
//
//	credential.go    parse the header
//	cache.go         valid cache, then negative cache
//	breaker.go       circuit breaker: do not wait for a Redis that just failed
//	limiter.go       reservation: a client with many unknown keys is slowed down
//	fetch.go         coalesced read of the key's record
//	record.go        what the record says
//	refusal.go       what a refused client reads
//
// # Invariants
//
// These hold together; each is stated again where its state lives.
//
//  1. A record is never trusted for longer than the cache's TTL (at most 60 s), counted from before
//     the read that filled it.
//  2. When [Auth.KeyChanged] has returned, the changed key is not trusted until a read that began
//     later says so.
//  3. After [Auth.Gap], no record that was read before is trusted until it was read again. While
//     Redis gives no answer, invariant 1 alone binds.
//  4. If Redis cannot answer, or has lost its schema marker, the answer is key_store_unavailable.
//     That is never treated as an unknown key.
//  5. An admitted request is counted exactly once (package usage).
//  6. No request waits for longer than a second, all its waits together.
//
// Package config/cache proves 1 to 3 for the records; cache.go says how this package uses it.
package keyauth

import (
	"context"
	"encoding/hex"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth/usage"
	"github.com/tenzo-ai/tenzo-gateway/config/cache"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Record is what is known of a valid key. It never changes.
type Record struct {
	KeyID string
	OrgID string
	Name  string
}

// Verdict is the decision about a request: either Key or Refusal is set.
type Verdict struct {
	Key     *Record  // the request is admitted, and counted, as one of this key
	Refusal *Refusal // the request is refused
	Subject *Subject // what is known of the key of a refused request; nil if it has none
}

// Subject identifies the key of a refused request, for logs: by its id and organization if the key
// is known, else by its hint.
type Subject struct {
	KeyID string
	OrgID string
	Hint  string // the prefix of keys and the last 4 characters
}

// subject identifies a known key.
func (r *Record) subject() *Subject { return &Subject{KeyID: r.KeyID, OrgID: r.OrgID} }

// reader is the part of store.Store that reads keys.
type reader interface {
	ReadHashes(ctx context.Context, keys ...string) []store.Hash
}

// Auth decides about requests and counts the admitted ones. It is safe for concurrent use, from New
// on and after Stop.
type Auth struct {
	reader   reader
	names    store.Names
	logger   *slog.Logger
	metrics  *Metrics
	clock    *cache.Clock
	provenAt func() time.Time
	started  time.Time

	settings atomic.Pointer[settings]
	reconfig sync.Mutex // held while settings and the valid cache are replaced

	// The valid cache holds valid keys, the negative cache refused keys. They are separate, so that
	// a flood of bad keys never evicts a valid key. The cache over both decides what they hold
	// (cache.go).
	valid    atomic.Pointer[shardedLRU[*entry]]
	negative *shardedLRU[negativeEntry]
	cache    *cache.Cache[digest, lookupResult]

	refreshedGeneration atomic.Uint64 // the generation in which refreshDue last ran

	readSlots  chan struct{} // a semaphore: holds one element for each read in flight
	breakers   breakers
	limiter    *limiter
	usage      *usage.Counters
	badRecords *rate.Limiter // limits the log lines about damaged records
}

// New returns an Auth over st, with options that Validate accepts. It never dials. Run must run for
// as long as requests come.
func New(st *store.Store, o Options) *Auth {
	o = withDependencies(o)
	counters := usage.New(st, o.Logger, o.Metrics.flushed)
	a := newAuth(st, counters, st.Names(), o, cache.NewClock(nil))
	a.breakers.cluster = st.Cluster()
	return a
}

// newAuth is New over any reader, counters and clock.
func newAuth(r reader, counters *usage.Counters, names store.Names, o Options, clock *cache.Clock) *Auth {
	o = withDependencies(o)
	s := settingsOf(o)
	a := &Auth{
		reader: r, names: names, logger: o.Logger, metrics: o.Metrics, clock: clock,
		provenAt: o.ProvenAt, started: time.Now(),
		negative:   newShardedLRU[negativeEntry](negativeSize),
		readSlots:  make(chan struct{}, maxReads),
		breakers:   breakers{woken: make(chan struct{}, 1)},
		limiter:    newLimiter(clock),
		usage:      counters,
		badRecords: rate.NewLimiter(1, 10),
	}
	a.settings.Store(s)
	a.valid.Store(newShardedLRU[*entry](s.cacheSize))
	a.cache = cache.New(clock, lookups{a})
	a.metrics.attach(a)
	return a
}

// Reconfigure applies the sizes, times and rates of o. Held keys and counts stay. Logger, Metrics
// and ProvenAt remain those of New.
func (a *Auth) Reconfigure(o Options) {
	a.reconfig.Lock()
	defer a.reconfig.Unlock()
	s := settingsOf(o)
	if s.cacheSize != a.settings.Load().cacheSize {
		// A request that looked into the old valid cache just before is like one that came just
		// before.
		a.cache.Exclusively(func() {
			valid, evicted := a.valid.Load().resized(s.cacheSize)
			a.metrics.evictions.Add(uint64(evicted))
			a.valid.Store(valid)
		})
	}
	a.settings.Store(s)
	a.valid.Load().scheduleScanOfAll() // with another TTL, other keys are due
}

// Run refreshes held keys and flushes usage counts until ctx is done. When it has returned, no
// goroutine of a is left. Call Stop after it.
func (a *Auth) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { a.refresh(ctx) })
	all.Go(func() { a.probe(ctx) })
	all.Go(func() { a.usage.Run(ctx) })
	all.Wait()
}

// Stop writes all usage counts to Redis and removes the private fields of this process there, as
// long as ctx allows. It logs how many counts were lost.
func (a *Auth) Stop(ctx context.Context) {
	a.usage.Stop(ctx)
	a.metrics.detach(a)
}

// keyName returns the name of the hash of the key d.
func (a *Auth) keyName(d *digest) string { return a.names.Key(hex.EncodeToString(d[:])) }
