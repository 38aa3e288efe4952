// Package store is the Redis that everything lives in: the names of what stands in it, how it is reached, and whether it is the one that
// holds our data.
//
// Redis is reached by one URL (contract section 4), be it a single server, Sentinel or a Cluster. A server that calls itself a replica,
// and a server without the schema marker, are trouble and never mistaken for an empty store.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrNotInitialized says that the schema marker is missing or names another version: Redis has lost its data or never had any.
var ErrNotInitialized = errors.New("redis holds no tenzo data: the schema marker is missing or of another version; `tenzo-gateway init` marks a new, empty store")

// ErrReplica says that the server calls itself a replica; it counts as one that does not answer.
var ErrReplica = errors.New("redis answers as a replica")

// Options say which Redis to use.
type Options struct {
	URL      string   // as contract section 4 has it
	Prefix   string   // DefaultPrefix where empty
	Observer Observer // told of every command; may be nil
}

// Observer is told how each command went. Implementations must be safe for concurrent use and fast.
type Observer interface {
	// ObserveCommand gets the error of a command, be it sent alone or in a pipeline (nil and redis.Nil are answers).
	ObserveCommand(err error)
	// ObserveRoundTrip gets how long a command, or a pipeline of commands, took. Those that wait in Redis are left out.
	ObserveRoundTrip(took time.Duration)
}

// Store is an open Redis. It is safe for concurrent use.
type Store struct {
	names    Names
	client   redis.UniversalClient
	blocking redis.UniversalClient
	cluster  bool
	where    string
	conns    *connections
	observer Observer
}

// Open prepares the clients for a Redis and never dials. Its errors say what is wrong with the URL, never its password.
func Open(o Options) (*Store, error) {
	return open(o)
}

// Names returns the names of what stands in this store.
func (s *Store) Names() Names { return s.names }

// Client is for commands that answer at once. It retries nothing and honours the deadline of its context.
func (s *Store) Client() redis.UniversalClient { return s.client }

// Blocking is for commands that wait in Redis (XREAD BLOCK); it has connections of its own. Give each call a deadline.
func (s *Store) Blocking() redis.UniversalClient { return s.blocking }

// Cluster says whether keys in different slots must not meet in one MULTI or script.
func (s *Store) Cluster() bool { return s.cluster }

// Where names the Redis by scheme and host, without a password, for logs.
func (s *Store) Where() string { return s.where }

// Hash is the answer to reading one hash.
type Hash struct {
	Fields map[string]string // empty where there is no such hash
	Marked bool              // whether the schema marker was there in the same atomic step (in a Cluster: right after it)
	Err    error             // no answer
}

// ReadHashes reads hashes, each together with the schema marker, in one pipeline. The result has the length and order of keys.
// A hash that is found counts whether Marked or not; one that is not found says something only where Marked.
func (s *Store) ReadHashes(ctx context.Context, keys ...string) []Hash {
	return s.readHashes(ctx, keys)
}

// Initialized returns nil where a primary answers and has the marker, ErrNotInitialized, ErrReplica, or why Redis gave no answer.
func (s *Store) Initialized(ctx context.Context) error { return s.initialized(ctx) }

// Initialize writes the schema marker where it is absent. It reports whether it did. A marker of another version is an error.
func (s *Store) Initialize(ctx context.Context) (bool, error) { return s.initialize(ctx) }

// Announce queues the change entry of a key's hash or a webhook's organization on pipe: field is ChangeKey or ChangeWebhook.
func (s *Store) Announce(ctx context.Context, pipe redis.Pipeliner, field, value string) {
	pipe.XAdd(ctx, &redis.XAddArgs{Stream: s.names.Changes(), MaxLen: ChangesMaxLen, Approx: true, Values: []string{field, value}})
}

// Close closes all connections.
func (s *Store) Close() error { return errors.Join(s.client.Close(), s.blocking.Close()) }
