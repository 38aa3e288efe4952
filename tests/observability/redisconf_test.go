package observability

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// exampleRedis starts a Redis with the example's configuration.
type exampleRedis struct{ addr, port string }

func startExampleRedis(t *testing.T, args ...string) exampleRedis {
	t.Helper()
	dir, addr := t.TempDir(), harness.FreeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	harness.Start(t, harness.Command{Name: "redis-server", Path: "redis-server", Dir: dir, Args: append([]string{
		inConfig(t, "examples", "redis.conf"), "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--repl-diskless-sync-delay", "0",
	}, args...)})
	r := exampleRedis{addr, port}
	admin := r.as(t, "admin")
	harness.Eventually(t, 10*time.Second, func() error { return admin.Ping(t.Context()).Err() })
	return r
}

// as returns a client of one of the example's users, with the password written there.
func (r exampleRedis) as(t *testing.T, user string) *redis.Client {
	t.Helper()
	password := map[string]string{
		"tenzo": "CHANGE-ME", "tenzo-publisher": "CHANGE-ME-TOO", "admin": "CHANGE-ME-ADMIN", "tenzo-backend": "CHANGE-ME-BACKEND",
	}[user]
	c := redis.NewClient(&redis.Options{Addr: r.addr, Username: user, Password: password})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// refuses fails the test if a user may run the command.
func refuses(t *testing.T, c *redis.Client, user string, args ...any) {
	t.Helper()
	if err := c.Do(t.Context(), args...).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
		t.Errorf("%s may do %v: %v", user, args, err)
	}
}

// The example's Redis permits what gateway and dispatcher need to its own users, and nothing to
// anybody else.
func TestRedisConfigurationSuffices(t *testing.T) {
	t.Parallel()
	r := startExampleRedis(t)
	env := []string{"TENZO_REDIS_URL=redis://tenzo:CHANGE-ME@" + r.addr}
	for _, args := range [][]string{
		{"init"},
		{"keys", "create", "--org", "acme", "--name", "test"},
		{"webhook", "set", "--org", "acme", "--url", "https://example.com/hook", "--no-secret"},
		{"events", "status"},
	} {
		if c := harness.RunGateway(t, env, "", args...); c.Status != 0 {
			t.Errorf("%v ends with %d: %s", args, c.Status, c.Stderr)
		}
	}
	publisher := r.as(t, "tenzo-publisher")
	event := &redis.XAddArgs{Stream: "tenzo:events", Values: []string{"event", "note.finalized", "org_id", "acme", "payload", "{}"}}
	if err := publisher.XAdd(t.Context(), event).Err(); err != nil {
		t.Errorf("the publisher cannot publish: %v", err)
	}
	refuses(t, publisher, "the publisher", "xrange", "tenzo:events", "-", "+")
	refuses(t, publisher, "the publisher", "hset", "tenzo:key:x", "id", "x")
	refuses(t, r.as(t, "tenzo"), "the gateway's user", "flushall")
	refuses(t, r.as(t, "tenzo"), "the gateway's user", "config", "get", "maxmemory")
	nobody := redis.NewClient(&redis.Options{Addr: r.addr})
	defer func() { _ = nobody.Close() }()
	if err := nobody.Ping(t.Context()).Err(); err == nil {
		t.Error("commands succeed without a password")
	}
}

// The administrator may run what runbooks and backups need.
func TestRedisCanBeAdministered(t *testing.T) {
	t.Parallel()
	r := startExampleRedis(t)
	for _, args := range []string{
		"ping", "config get appendonly", "config set maxmemory 3gb", "slowlog get 10", "info persistence", "dbsize", "acl list", "--rdb backup.rdb",
	} {
		cmd := exec.Command("redis-cli", append([]string{"-e", "-p", r.port, "--user", "admin"}, strings.Fields(args)...)...)
		cmd.Dir, cmd.Env = t.TempDir(), append(cmd.Environ(), "REDISCLI_AUTH=CHANGE-ME-ADMIN")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("redis-cli %s: %v\n%s", args, err, out)
		}
	}
}

// A replica replicates from the example's Redis as its replication user.
func TestRedisCanBeReplicated(t *testing.T) {
	t.Parallel()
	r := startExampleRedis(t)
	if err := r.as(t, "tenzo").Set(t.Context(), "tenzo:schema", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	replica := startExampleRedis(t, "--replicaof", "127.0.0.1 "+r.port, "--masteruser", "replica", "--masterauth", "CHANGE-ME-REPLICA")
	copied := replica.as(t, "tenzo")
	harness.Eventually(t, 20*time.Second, func() error { return copied.Get(t.Context(), "tenzo:schema").Err() })
}

// A backend may write keys and webhooks as keys-from-elsewhere.md describes, and nothing else.
func TestBackendMayWriteKeys(t *testing.T) {
	t.Parallel()
	r := startExampleRedis(t)
	ctx, hash := t.Context(), sha256Hex("tenzo_pk_0123456789abcdef")
	backend := r.as(t, "tenzo-backend")
	announced := func(fields ...string) *redis.XAddArgs {
		return &redis.XAddArgs{Stream: "tenzo:changes", MaxLen: 10000, Approx: true, Values: fields}
	}
	_, err := backend.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAdd(ctx, "tenzo:org:acme:keys", redis.Z{Score: 1, Member: hash})
		p.SetNX(ctx, "tenzo:key-id:k-1", hash, 0)
		p.HSet(ctx, "tenzo:key:"+hash, "id", "k-1", "org_id", "acme", "name", "n", "created_at", "2026-01-01T00:00:00Z")
		p.XAdd(ctx, announced("key", hash))
		return nil
	})
	all := err
	_, err = backend.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, "tenzo:key:"+hash, "revoked_at", "2026-01-02T00:00:00Z")
		p.HSet(ctx, "tenzo:webhook:acme", "url", "https://example.com", "active", "1")
		p.HDel(ctx, "tenzo:webhook:acme", "secret")
		p.Del(ctx, "tenzo:webhook:acme")
		p.XAdd(ctx, announced("webhook", "acme"))
		return nil
	})
	all = errors.Join(all, err)
	for _, read := range []func(context.Context) error{
		func(ctx context.Context) error { return backend.Get(ctx, "tenzo:key-id:k-1").Err() },
		func(ctx context.Context) error { return backend.HGetAll(ctx, "tenzo:key:"+hash).Err() },
		func(ctx context.Context) error { return backend.ZRange(ctx, "tenzo:org:acme:keys", 0, -1).Err() },
		func(ctx context.Context) error {
			return backend.HMGet(ctx, "tenzo:usage:k-1", "count", "last_used_at").Err()
		},
	} {
		all = errors.Join(all, read(ctx))
	}
	if all != nil {
		t.Error(all)
	}
	refuses(t, backend, "the backend", "hset", "tenzo:usage:k-1", "count", "0")
	refuses(t, backend, "the backend", "set", "tenzo:schema", "1")
	refuses(t, backend, "the backend", "xadd", "tenzo:events", "*", "event", "x")
	refuses(t, backend, "the backend", "keys", "*")
}
