package store

// This file finds out whether a server is a primary. A replica counts as a server that gives no
// answer: its data may be older than a revocation, and it accepts no writes.

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// ErrReplica says that the server calls itself a replica, which counts as no answer.
var ErrReplica = errors.New("redis answers as a replica")

// server is the reply of a server to HELLO.
type server struct {
	version string
	mode    string // standalone, cluster or sentinel
	role    string // master or replica
}

func isReplica(s server) bool { return s.role == "replica" || s.role == "slave" }

// doer is a client or a connection.
type doer interface {
	Do(ctx context.Context, args ...any) *redis.Cmd
}

func role(ctx context.Context, c doer) (server, error) {
	v, err := c.Do(ctx, "hello", "3").Result()
	if err != nil {
		return server{}, fmt.Errorf("asking redis for its role: %w", err)
	}
	return readServer(v), nil
}

// readServer reads the reply to HELLO: a map, or a flat list from servers that do not speak RESP3.
func readServer(v any) server {
	fields := map[any]any{}
	switch v := v.(type) {
	case map[any]any:
		fields = v
	case []any:
		for i := 0; i+1 < len(v); i += 2 {
			fields[v[i]] = v[i+1]
		}
	}
	text := func(name string) string { s, _ := fields[name].(string); return s }
	return server{version: text("version"), mode: text("mode"), role: text("role")}
}
