package store

// This file makes the clients of a Store. Every time-out and retry is set here, on purpose and in one place.

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// answerTimeout bounds the wait for an answer where the context has no earlier deadline. Redis itself may stall for up to two seconds
	// when its append-only file waits for the disk.
	answerTimeout = 3 * time.Second
	// poolTimeout bounds the wait for a free connection.
	poolTimeout = time.Second
	// blockingPool is how many commands may wait in Redis at once: the followers of a process are few.
	blockingPool = 16
)

// Options say which Redis to use.
type Options struct {
	URL     string   // as specification.md, section 4 has it
	Prefix  string   // DefaultPrefix where empty
	Metrics *Metrics // told of every command, and of what a Monitor finds out; nil: none
}

// silenceClient keeps go-redis from logging every failed dial to the standard error, in a form of its own: whatever matters to an operator
// is returned as an error or said by Monitor. Its log is one for the whole process.
var silenceClient = sync.OnceFunc(func() { redis.SetLogger(&logging.VoidLogger{}) })

// Open prepares the clients for a Redis and never dials. Its errors say what is wrong with the URL, never its password.
func Open(o Options) (*Store, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if !ValidPrefix(o.Prefix) {
		return nil, fmt.Errorf("the key prefix %q cannot be used: it must not be empty and holds neither braces nor spaces", o.Prefix)
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
		conns:   &connections{tls: t.tls, sentOnce: t.shape == cluster, open: map[*connection]struct{}{}},
		metrics: o.Metrics,
	}
	s.client = s.newClient(t, hook{store: s}, false)
	s.blocking = s.newClient(t, hook{store: s, blocking: true}, true)
	return s, nil
}

// newClient makes one client. Nothing is retried: a command whose answer was lost may have been carried out, and who sent it knows best
// what to do. DialerRetries is go-redis' count of attempts.
func (s *Store) newClient(t *target, h hook, blocking bool) redis.UniversalClient {
	switch t.shape {
	case sentinel:
		o := *t.sentinel
		o.Dialer, o.TLSConfig, o.OnConnect = s.conns.dial, nil, s.refuseReplica
		o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled, o.DisableIdentity = -1, 1, true, true
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout, answerTimeout, answerTimeout, poolTimeout
		if blocking {
			o.PoolSize, o.MinIdleConns, o.PipelinePoolSize = blockingPool, 0, -1
		}
		c := redis.NewFailoverClient(&o)
		c.AddHook(h)
		return c
	case cluster:
		o := *t.cluster
		o.Dialer, o.TLSConfig = s.conns.dial, nil
		o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled, o.DisableIdentity = -1, 1, true, true
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout, answerTimeout, answerTimeout, poolTimeout
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		if blocking {
			o.PoolSize, o.MinIdleConns, o.PipelinePoolSize = blockingPool, 0, -1
		}
		c := redis.NewClusterClient(&o)
		c.AddHook(h)
		return c
	default:
		o := *t.single
		o.Dialer, o.TLSConfig, o.OnConnect = s.conns.dial, nil, s.refuseReplica
		o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled, o.DisableIdentity = -1, 1, true, true
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = dialTimeout, answerTimeout, answerTimeout, poolTimeout
		o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
		if blocking {
			o.PoolSize, o.MinIdleConns, o.PipelinePoolSize = blockingPool, 0, -1
		}
		c := redis.NewClient(&o)
		c.AddHook(h)
		return c
	}
}

// refuseReplica runs on every new connection. HELLO names the role and is allowed to users who may neither ROLE nor INFO.
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
