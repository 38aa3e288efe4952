// Package store is the Redis that everything lives in: the names of what stands in it, how it is reached, and whether it is the one that
// holds our data.
//
// Redis is reached by one URL (specification.md, section 4), be it a single server, Sentinel or a Cluster. A server that calls itself a replica,
// and a server without the schema marker, are trouble and never mistaken for an empty store.
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

// Names returns the names of what stands in this store.
func (s *Store) Names() Names { return s.names }

// Client is for commands that answer at once. It retries nothing and honours the deadline of its context.
func (s *Store) Client() redis.UniversalClient { return s.client }

// BlockingClient is for commands that wait in Redis (XREAD BLOCK); it has connections of its own. Give each call a deadline.
func (s *Store) BlockingClient() redis.UniversalClient { return s.blocking }

// Cluster says whether keys in different slots must not meet in one MULTI or script.
func (s *Store) Cluster() bool { return s.cluster }

// Addr names the Redis by scheme and host, without a password, for logs.
func (s *Store) Addr() string { return s.addr }

// Close closes all connections.
func (s *Store) Close() error { return errors.Join(s.client.Close(), s.blocking.Close()) }
