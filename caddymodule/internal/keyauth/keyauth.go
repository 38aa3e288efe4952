// Package keyauth decides, from the values of an Authorization header, whether a request carries an API key that counts. It is the hot path:
// a held key costs one SHA-256, one look into a sharded LRU and two counts, and allocates nothing.
//
// It knows no Caddy. [Auth.Authenticate] gives the verdict, [WriteRefusal] the answer to a refused request, [Auth] is the changes.Handler
// that stops trusting what was changed, and [Auth.Run] keeps held keys fresh and brings the counts of their use to Redis.
//
// # Whom it believes, and for how long
//
// These invariants hold together; each is stated again where its state lives.
//
//  1. A record is never trusted for longer than the cache's TTL (60 s at most), counted from before the read that filled it (clock.go).
//  2. A key whose change was announced is not trusted from the moment [Auth.KeyChanged] returned, until a read that began later says so
//     (flight.go).
//  3. After [Auth.Gap] no record that was read before is trusted until it was read again, unless Redis gives no answer; then 1. alone binds.
//  4. Not knowing is never a verdict on a key: without an answer of a Redis that has its marker, the answer is key_store_unavailable.
//  5. An admitted request is counted exactly once (usage.go).
//  6. No request waits for longer than a second, all its waits together.
package keyauth

import (
	"context"
	"encoding/hex"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Record is what is known of a good key. It never changes.
type Record struct {
	KeyID string
	OrgID string
	Name  string
}

// Verdict is the answer to a request: exactly one of its members is set.
type Verdict struct {
	Key     *Record  // the request is let in, and counted, as this key's
	Refusal *Refusal // it is refused
}

// reader is the part of store.Store that keys are read with.
type reader interface {
	ReadHashes(ctx context.Context, keys ...string) []store.Hash
}

// Auth decides about requests and counts the admitted ones. It is safe for concurrent use, from New on and after Stop.
type Auth struct {
	reader   reader
	names    store.Names
	logger   *slog.Logger
	metrics  *Metrics
	clock    *clock
	provenAt func() time.Time
	started  time.Time

	settings atomic.Pointer[settings]
	reconfig sync.Mutex // held while settings and held are replaced

	// held are good keys, refused are others. They are apart, so that no flood of bad keys pushes out a good one. See flight.go for who may
	// change them.
	held    atomic.Pointer[space[*entry]]
	refused *space[refusedKey]
	// epoch counts the gaps. What was read in an earlier one is read again before its next use (invariant 3).
	epoch  atomic.Uint64
	looked atomic.Uint64 // the epoch in which refreshDue last looked

	desks      [desks]desk
	places     chan struct{} // holds one for each request that reads
	breakers   breakers
	limiter    *limiter
	usage      *usage
	badRecords *rate.Limiter // how often a damaged record is worth a line
}

// maxRefused is how many refused keys are remembered.
const maxRefused = 16384

// New returns an Auth over st, with options that Validate accepts. It never dials. Run must run for as long as requests come.
func New(st *store.Store, o Options) *Auth {
	a := newAuth(st, &redisCounts{client: st.Client(), names: st.Names()}, st.Names(), o, nil)
	a.breakers.cluster = st.Cluster()
	onDial(st.Client(), a.usage.suspect)
	return a
}

// newAuth is New over anything that can be read and counted in, on any clock.
func newAuth(r reader, counts counts, names store.Names, o Options, readClock func() (wall, mono int64)) *Auth {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	if o.ProvenAt == nil {
		o.ProvenAt = func() time.Time { return time.Time{} }
	}
	c := newClock(readClock)
	a := &Auth{
		reader: r, names: names, logger: o.Logger, metrics: o.Metrics, clock: c, provenAt: o.ProvenAt, started: time.Now(),
		refused:    newSpace[refusedKey](maxRefused),
		places:     make(chan struct{}, maxReads),
		breakers:   breakers{woken: make(chan struct{}, 1)},
		limiter:    newLimiter(c),
		usage:      newUsage(counts, o.Logger, o.Metrics),
		badRecords: rate.NewLimiter(1, 10),
	}
	for i := range a.desks {
		a.desks[i].flights = map[digest]*flight{}
	}
	s := settingsOf(o)
	a.settings.Store(s)
	a.held.Store(newSpace[*entry](s.cacheSize))
	a.metrics.attach(a)
	return a
}

// Reconfigure takes over the rules of o: sizes, times and rates. Held keys and counts stay; Logger, Metrics and ProvenAt are those of New.
func (a *Auth) Reconfigure(o Options) {
	a.reconfig.Lock()
	defer a.reconfig.Unlock()
	s := settingsOf(o)
	if s.cacheSize != a.settings.Load().cacheSize {
		// With every desk held nothing is kept and nothing forgotten meanwhile. Who looked into the old space just before is like one whose
		// request came just before.
		for i := range a.desks {
			a.desks[i].mu.Lock()
			defer a.desks[i].mu.Unlock()
		}
		held, evicted := a.held.Load().resized(s.cacheSize)
		a.metrics.evictions.Add(uint64(evicted))
		a.held.Store(held)
	}
	a.settings.Store(s)
	a.held.Load().lookAtAll() // with another time to live other keys are due
}

// Run keeps held keys fresh and flushes counts, until ctx is done; when it has returned, no goroutine of a is left. Call Stop after it.
func (a *Auth) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { a.refresh(ctx) })
	all.Go(func() { a.probe(ctx) })
	all.Go(func() { a.usage.run(ctx) })
	all.Wait()
}

// Stop brings all counts to Redis and folds away what this process keeps there, as long as ctx allows. It logs how many counts were lost.
func (a *Auth) Stop(ctx context.Context) {
	a.usage.stop(ctx)
	a.metrics.detach(a)
}

// keyName is the name of the hash of the key d.
func (a *Auth) keyName(d *digest) string { return a.names.Key(hex.EncodeToString(d[:])) }
