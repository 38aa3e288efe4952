package caddymodule

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

// cores holds the runtime of each Redis that a configuration names. Its invariants:
//
//   - A core is there as long as a configuration that was provisioned and not cleaned up, or a dispatcher, names its Redis; so a reload,
//     which provisions the new configuration before it cleans up the old one, keeps the core with all it remembers.
//   - Nothing is dialled before start, which only App.Start calls: validating a configuration, or failing to load one, touches no Redis.
//   - A core holds no Caddy context. Its log and options are those of the configuration that started last and is not cleaned up; one that
//     fails to load leaves no trace.
var cores = caddy.NewUsagePool()

// redisTarget says which Redis a configuration means. Two that are equal share a core.
type redisTarget struct {
	url      string // its placeholders replaced; may hold a password
	embedded bool   // the server at url runs in this process
	prefix   string
}

// key names the target in the pool without showing a password. What stands in files that the URL names is no part of it: the store reads
// them for each connection.
func (t redisTarget) key() [sha256.Size]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%t\x00%s\x00%s", t.embedded, t.prefix, t.url))
}

// core is all that outlives a configuration: the connection to one Redis, what is remembered of it, and what is not written to it yet.
type core struct {
	target   redisTarget
	made     time.Time
	log      *reloadableLog
	logger   *slog.Logger // writes to log
	store    *store.Store
	monitor  *store.Monitor
	follower *changes.Follower
	auth     *keyauth.Auth

	contacted atomic.Bool // see awaitContact

	mu      sync.Mutex
	users   []*coreUser // configurations between their start and their cleanup, the latest last
	started bool
	cancel  context.CancelFunc // ends what start began
	loops   sync.WaitGroup     // what start began
}

// acquireCore returns the core of a target and the function, to be called once, that gives it up. A core that is not there yet is made
// for u; one that is there heeds it from its start on.
func acquireCore(t redisTarget, u *coreUser) (*core, func() error, error) {
	v, _, err := cores.LoadOrNew(t.key(), func() (caddy.Destructor, error) { return newCore(t, u) })
	if err != nil {
		return nil, nil, err
	}
	return v.(*core), func() error {
		_, err := cores.Delete(t.key())
		return err
	}, nil
}

// newCore prepares a core. It dials nothing and starts nothing.
func newCore(t redisTarget, first *coreUser) (*core, error) {
	log := newReloadableLog(first.log)
	logger := slog.New(log)
	st, err := store.Open(store.Options{URL: t.url, Prefix: t.prefix, Metrics: metrics.redis})
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	c := &core{
		target:   t,
		made:     time.Now(),
		log:      log,
		logger:   logger,
		store:    st,
		monitor:  store.NewMonitor(st, logger),
		follower: changes.New(st, logger),
	}
	keys := first.keys
	keys.Logger, keys.Metrics, keys.ProvenAt = logger, metrics.auth, c.follower.ProvenAt
	c.auth = keyauth.New(st, keys)
	c.follower.Subscribe(c.auth) // as long as the follower lives
	return c, nil
}

// coreUser is what one configuration says of a core.
type coreUser struct {
	log  slog.Handler
	keys keyauth.Options
}

// use makes a configuration that starts the one whose log and options hold; what is remembered stays.
func (c *core) use(u *coreUser) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users = append(c.users, u)
	c.apply()
}

// leave takes a configuration's word back. Where it was the latest, having failed to start, the one before holds again.
func (c *core) leave(u *coreUser) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users = slices.DeleteFunc(c.users, func(other *coreUser) bool { return other == u })
	c.apply()
}

// apply makes the latest user's word hold. The caller holds c.mu.
func (c *core) apply() {
	if len(c.users) == 0 {
		return // what held last goes on holding, until the core ends
	}
	latest := c.users[len(c.users)-1]
	c.log.set(latest.log)
	c.auth.Reconfigure(latest.keys)
}

// start lets the core talk to Redis. Starting again does nothing.
func (c *core) start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started {
		return nil
	}
	if c.target.embedded {
		if err := startEmbedded(c.target.url, c.store, c.logger); err != nil {
			return err
		}
	}
	c.started = true
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	for _, loop := range []func(context.Context){c.monitor.Run, c.follower.Run, c.auth.Run, c.awaitContact} {
		c.loops.Go(func() { loop(ctx) })
	}
	return nil
}

// How long the end of a core may take.
const (
	// Requests that a connection brings to a configuration already replaced must find its core alive: the HTTP server closes connections
	// without a request after 5 s.
	lingerAfterReload = 10 * time.Second
	// A test delivery that a request of a former configuration began may take 30 s.
	lingerOfTests = 35 * time.Second
	flushTimeout  = 5 * time.Second
)

// Destruct ends a core that nobody names any more. When the process exits this waits for the end, so that counts are written; after a
// reload the end comes in the background, later than the last request that may still need the core.
func (c *core) Destruct() error {
	if caddy.Exiting() {
		return c.end()
	}
	teardowns.later(lingerAfterReload, func() {
		if err := c.end(); err != nil {
			c.logger.Error("closing what a former configuration used", "error", err)
		}
	})
	return nil
}

// end stops everything that start began, waits for it, flushes what is not written, and closes the connections.
func (c *core) end() error {
	c.mu.Lock()
	started := c.started
	c.mu.Unlock()
	if started {
		c.cancel()
		c.loops.Wait()
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	c.auth.Stop(ctx) // also of a core that never began, which the metrics must forget
	return c.store.Close()
}
