package store

// This file is about the schema marker, which exists only where our data is.

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// ErrNotInitialized says that the schema marker is missing or names another version: Redis has lost
// its data or never had any.
var ErrNotInitialized = &problem.Error{
	Status: http.StatusServiceUnavailable,
	Code:   "store_not_initialized",
	Detail: "this Redis holds no tenzo data yet, or has lost it: " +
		"mark a new, empty store with `tenzo-gateway init`, or restore the backup",
}

func (s *Store) hasMarker(ctx context.Context) (bool, error) {
	return readMarker(s.client.Get(ctx, s.names.Schema()))
}

// readMarker reports whether the marker is there; one of another version or type does not count.
func readMarker(got *redis.StringCmd) (bool, error) {
	v, err := got.Result()
	if errors.Is(err, redis.Nil) || redis.HasErrorPrefix(err, "WRONGTYPE") {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the schema marker: %w", err)
	}
	return v == SchemaVersion, nil
}

// Initialized returns nil if a primary answers and has the marker. Otherwise it returns
// ErrNotInitialized, ErrReplica, or why Redis gave no answer.
func (s *Store) Initialized(ctx context.Context) error {
	found, err := s.hasMarker(ctx)
	if err != nil {
		return err
	}
	if !found {
		return ErrNotInitialized
	}
	return nil
}

// Initialize writes the schema marker if it is absent, and reports whether it did. A marker of
// another version is an error.
func (s *Store) Initialize(ctx context.Context) (bool, error) {
	written, err := s.client.SetNX(ctx, s.names.Schema(), SchemaVersion, 0).Result()
	if err != nil {
		return false, fmt.Errorf("writing the schema marker: %w", err)
	}
	if written {
		return true, nil
	}
	return false, s.Initialized(ctx)
}
