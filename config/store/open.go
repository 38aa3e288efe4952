package store

// This file makes the clients of a Store. Every timeout and retry is set in sharedOptions.apply, on
// purpose and in one place.

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// answerTimeout bounds the wait for a reply if the context has no earlier deadline. Redis
	// itself may stall for up to two seconds when its append-only file waits for the disk.
	answerTimeout = 3 * time.Second
	// poolTimeout bounds the wait for a free connection.
	poolTimeout = time.Second
	// blockingPool is how many commands may wait in Redis at once: a process has few followers.
	blockingPool = 16
)

// Options say which Redis to use.
type Options struct {
	URL     string   // specification.md, section 4
	Prefix  string   // DefaultPrefix if empty
	Metrics *Metrics // of every command and of the state that a Monitor finds; nil: none
}

// silenceClient keeps go-redis from logging every failed dial to standard error in its own format:
// this program returns errors, and Monitor logs the state. The logger of go-redis is global.
var silenceClient = sync.OnceFunc(func() { redis.SetLogger(&logging.VoidLogger{}) })

// Open prepares the clients for a Redis and never dials. Its errors say what is wrong with the URL,
// but never its password.
func Open(o Options) (*Store, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if !ValidPrefix(o.Prefix) {
		return nil, fmt.Errorf("invalid key prefix %q: must not be empty or contain braces or spaces", o.Prefix)
	}
	t, err := parseTarget(o.URL)
	if err != nil {
		return nil, err
	}
	silenceClient()
	s := &Store{
		names:   NewNames(o.Prefix),
		cluster: t.shape == cluster,
		addr:    t.name,
		conns:   &connections{tls: t.tls, maskErrors: t.shape == cluster, open: map[*connection]struct{}{}},
		metrics: o.Metrics,
	}
	s.client = s.newClient(t, false)
	s.blocking = s.newClient(t, true)
	return s, nil
}

// newClient makes one client.
func (s *Store) newClient(t *target, blocking bool) redis.UniversalClient {
	var c redis.UniversalClient
	switch t.shape {
	case sentinel:
		o := *t.sentinel
		o.OnConnect = s.refuseReplica
		sharedOptions{
			&o.Dialer, &o.TLSConfig, &o.MaxRetries, &o.DialerRetries, &o.PoolSize, &o.MinIdleConns, &o.PipelinePoolSize,
			&o.ContextTimeoutEnabled, &o.DisableIdentity, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout,
		}.apply(s.conns.dial, blocking)
		c = redis.NewFailoverClient(&o)
	case cluster:
		o := *t.cluster
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		sharedOptions{
			&o.Dialer, &o.TLSConfig, &o.MaxRetries, &o.DialerRetries, &o.PoolSize, &o.MinIdleConns, &o.PipelinePoolSize,
			&o.ContextTimeoutEnabled, &o.DisableIdentity, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout,
		}.apply(s.conns.dial, blocking)
		c = redis.NewClusterClient(&o)
	default:
		o := *t.single
		o.OnConnect = s.refuseReplica
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		sharedOptions{
			&o.Dialer, &o.TLSConfig, &o.MaxRetries, &o.DialerRetries, &o.PoolSize, &o.MinIdleConns, &o.PipelinePoolSize,
			&o.ContextTimeoutEnabled, &o.DisableIdentity, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolTimeout,
		}.apply(s.conns.dial, blocking)
		c = redis.NewClient(&o)
	}
	c.AddHook(hook{store: s, blocking: blocking})
	return c
}

// dialFunc dials for go-redis.
type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// sharedOptions points to the options that the three kinds of clients of go-redis have in common.
type sharedOptions struct {
	dialer                                           *dialFunc
	tlsConfig                                        **tls.Config
	maxRetries, dialerRetries                        *int
	poolSize, minIdleConns, pipelinePoolSize         *int
	contextTimeout, disableIdentity                  *bool
	dialTimeout, readTimeout, writeTimeout, poolWait *time.Duration
}

// apply sets the options. Nothing is retried: Redis may have executed a command whose reply was
// lost, and only the caller knows what to do then. In go-redis, the dialer's retries count
// attempts.
func (o sharedOptions) apply(dial dialFunc, blocking bool) {
	*o.dialer, *o.tlsConfig = dial, nil // dial makes the TLS connection
	*o.maxRetries, *o.dialerRetries = -1, 1
	*o.contextTimeout, *o.disableIdentity = true, true
	*o.dialTimeout, *o.readTimeout, *o.writeTimeout, *o.poolWait = dialTimeout, answerTimeout, answerTimeout, poolTimeout
	if blocking {
		*o.poolSize, *o.minIdleConns, *o.pipelinePoolSize = blockingPool, 0, -1
	}
}

// refuseReplica runs on every new connection. It uses HELLO, which names the role and is allowed to
// users without ROLE and INFO.
func (s *Store) refuseReplica(ctx context.Context, conn *redis.Conn) error {
	role, err := role(ctx, conn)
	if err != nil {
		return err
	}
	if isReplica(role) {
		return ErrReplica
	}
	return nil
}
