// Package runtime holds everything that outlives a configuration of Caddy: the connection to Redis,
// cached keys, usage counts that are not flushed yet, running dispatchers, and the embedded server.
package runtime

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth"
	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// runtimes holds one Runtime for each Redis that a configuration names. Its invariants:
//
//   - A Runtime exists while a configuration that was provisioned and not cleaned up, or a
//     dispatcher, refers to its Redis. A reload provisions the new configuration before it cleans
//     up the old one, so the Runtime survives it with its caches and counts.
//   - Nothing is dialled before Start, which only App.Start calls: validating a configuration, or
//     failing to load one, never contacts Redis.
//   - A Runtime holds no Caddy context. Its logger and options are those of the latest
//     configuration that has started and is not cleaned up. A configuration that fails to load
//     leaves no trace.
var runtimes = caddy.NewUsagePool()

// Target says which Redis a configuration uses. Configurations with equal targets share a Runtime.
type Target struct {
	URL      string // with its placeholders replaced; may contain a password
	Embedded bool   // the server at URL runs in this process
	Prefix   string // of every key in Redis
}

// key identifies the target in the pool without revealing the password. The content of files that
// the URL names is not part of it, because the store reads them again for each connection.
func (t Target) key() [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%t\x00%s\x00%s", t.Embedded, t.Prefix, t.URL))
}

// Generation is one configuration's share in a Runtime: where it logs, and how it looks up keys.
type Generation struct {
	Log  slog.Handler
	Keys keyauth.Options
}

// Runtime owns the connection to one Redis, what is cached from it, and what is not written to it
// yet.
type Runtime struct {
	target   Target
	created  time.Time
	log      *reloadableLog
	logger   *slog.Logger // writes to log
	store    *store.Store
	monitor  *store.Monitor
	follower *changes.Follower
	auth     *keyauth.Auth

	contacted atomic.Bool // see awaitContact

	mu          sync.Mutex
	generations []*Generation // between activation and deactivation, the latest last
	started     bool
	cancel      context.CancelFunc // stops the loops
	loops       sync.WaitGroup     // the goroutines of Start
}

// Acquire returns the Runtime of a target and a function that releases it, to be called once. If
// there is none yet, Acquire creates it with g's logger and options; an existing one adopts them
// when g is activated.
func Acquire(t Target, g *Generation) (*Runtime, func() error, error) {
	v, _, err := runtimes.LoadOrNew(t.key(), func() (caddy.Destructor, error) { return newRuntime(t, g) })
	if err != nil {
		return nil, nil, err
	}
	return v.(*Runtime), func() error {
		_, err := runtimes.Delete(t.key())
		return err
	}, nil
}

// newRuntime creates a Runtime. It dials nothing and starts nothing.
func newRuntime(t Target, first *Generation) (*Runtime, error) {
	log := newReloadableLog(first.Log)
	logger := slog.New(log)
	st, err := store.Open(store.Options{URL: t.URL, Prefix: t.Prefix, Metrics: metrics.redis})
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	r := &Runtime{
		target:   t,
		created:  time.Now(),
		log:      log,
		logger:   logger,
		store:    st,
		monitor:  store.NewMonitor(st, logger),
		follower: changes.New(st, logger),
	}
	keys := first.Keys
	keys.Logger, keys.Metrics, keys.ProvenAt = logger, metrics.auth, r.follower.ProvenAt
	r.auth = keyauth.New(st, keys)
	r.follower.SubscribeKeys(r.auth) // for as long as the follower exists
	return r, nil
}

// Auth verifies API keys. It may be used from Acquire until the Runtime is destroyed.
func (r *Runtime) Auth() *keyauth.Auth { return r.auth }

// Activate makes the logger and options of a configuration that starts the current ones. Caches
// and counts stay.
func (r *Runtime) Activate(g *Generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.generations = append(r.generations, g)
	r.applyLatest()
}

// Deactivate removes a configuration. If it was the latest because it failed to start, the one
// before it becomes current again.
func (r *Runtime) Deactivate(g *Generation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.generations = slices.DeleteFunc(r.generations, func(other *Generation) bool { return other == g })
	r.applyLatest()
}

// applyLatest applies the latest generation. Without one, the options of the last stay until the
// Runtime ends. The caller holds r.mu.
func (r *Runtime) applyLatest() {
	if len(r.generations) == 0 {
		return
	}
	latest := r.generations[len(r.generations)-1]
	r.log.set(latest.Log)
	r.auth.Reconfigure(latest.Keys)
}

// Start lets the Runtime contact Redis. Further calls do nothing.
func (r *Runtime) Start() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started {
		return nil
	}
	if r.target.Embedded {
		if err := startEmbedded(r.target.URL, r.store, r.logger); err != nil {
			return err
		}
	}
	r.started = true
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	for _, loop := range []func(context.Context){r.monitor.Run, r.follower.Run, r.auth.Run, r.awaitContact} {
		r.loops.Go(func() { loop(ctx) })
	}
	return nil
}

// How long the end of a Runtime may take.
const (
	// After a reload, a connection may still bring requests to the replaced configuration, which
	// need its Runtime. The HTTP server closes connections without a request after 5 s.
	reloadLinger = 10 * time.Second
	flushTimeout = 5 * time.Second
)

// Destruct ends a Runtime that nothing refers to any more. While the process exits, Destruct waits
// for the end, so that usage counts are flushed. After a reload the end happens in the background,
// later than the last request that may still need the Runtime.
func (r *Runtime) Destruct() error {
	if caddy.Exiting() {
		return r.end()
	}
	teardowns.later(reloadLinger, func() {
		if err := r.end(); err != nil {
			r.logger.Error("closing what a former configuration used failed", "error", err)
		}
	})
	return nil
}

// end stops the loops, waits for them, flushes usage counts, and closes the connections.
func (r *Runtime) end() error {
	r.mu.Lock()
	started := r.started
	r.mu.Unlock()
	if started {
		r.cancel()
		r.loops.Wait()
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	r.auth.Stop(ctx) // also without a Start: the metrics must forget this Auth
	return r.store.Close()
}

// InUse returns how many Runtimes and dispatchers configurations refer to. Tests use it to find
// leaked references.
func InUse() (runtimeCount, dispatcherCount int) {
	count := func(pool *caddy.UsagePool) (n int) {
		pool.Range(func(any, any) bool {
			n++
			return true
		})
		return n
	}
	return count(runtimes), count(dispatchers)
}
