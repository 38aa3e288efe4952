// Package store is the Redis that holds everything: the names of the keys in it, how it is reached,
// and whether it holds our data.
//
// One URL (specification.md, section 4) names a single server, Sentinels or a Cluster. A server
// that calls itself a replica, and a server without the schema marker, are failures and never
// mistaken for an empty store.
package store

import (
	"errors"

	"github.com/redis/go-redis/v9"
)

// Store is an open Redis. It is safe for concurrent use.
type Store struct {
	names    Names
	client   redis.UniversalClient
	blocking redis.UniversalClient
	cluster  bool
	addr     string
	conns    *connections
	metrics  *Metrics // nil: none
}

// Names returns the names of the keys in this store.
func (s *Store) Names() Names { return s.names }

// Client is for commands that reply at once. It retries nothing and honours the deadline of its
// context.
func (s *Store) Client() redis.UniversalClient { return s.client }

// BlockingClient is for commands that wait in Redis (XREAD BLOCK). It has connections of its own.
// Give each call a deadline.
func (s *Store) BlockingClient() redis.UniversalClient { return s.blocking }

// Cluster reports whether keys in different slots cannot be used in one MULTI or script.
func (s *Store) Cluster() bool { return s.cluster }

// Addr names the Redis by scheme and host, without a password, for logs and errors.
func (s *Store) Addr() string { return s.addr }

// Close closes all connections.
func (s *Store) Close() error { return errors.Join(s.client.Close(), s.blocking.Close()) }
