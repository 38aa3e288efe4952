package tests

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// key is an API key, written into Redis as another program would (specification.md, section 4).
type key struct {
	secret, hash, id, org string
}

// newKey writes a key. fields override the defaults of its hash; an empty value removes the field.
func newKey(t *testing.T, rdb redis.UniversalClient, org string, fields ...string) key {
	t.Helper()
	k := makeKey(org)
	h := map[string]any{"id": k.id, "org_id": org, "name": "test", "hint": hint(k.secret), "created_at": now()}
	for i := 0; i < len(fields); i += 2 {
		if h[fields[i]] = fields[i+1]; fields[i+1] == "" {
			delete(h, fields[i])
		}
	}
	ctx := t.Context()
	must(t, rdb.ZAdd(ctx, "tenzo:org:"+org+":keys", redis.Z{Score: float64(time.Now().UnixMilli()), Member: k.hash}).Err())
	must(t, rdb.Set(ctx, "tenzo:key-id:"+k.id, k.hash, 0).Err())
	must(t, rdb.HSet(ctx, "tenzo:key:"+k.hash, h).Err())
	announce(t, rdb, "key", k.hash)
	return k
}

func makeKey(org string) key {
	secret := "tenzo_pk_" + rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(secret))
	return key{secret: secret, hash: hex.EncodeToString(sum[:]), id: "k-" + strings.ToLower(rand.Text()), org: org}
}

// revoke revokes as another program would: it writes the hash, then announces the change.
func revoke(t *testing.T, rdb redis.UniversalClient, k key) {
	t.Helper()
	must(t, rdb.HSet(t.Context(), "tenzo:key:"+k.hash, "revoked_at", now()).Err())
	announce(t, rdb, "key", k.hash)
}

func announce(t *testing.T, rdb redis.UniversalClient, field, value string) {
	t.Helper()
	must(t, rdb.XAdd(t.Context(), &redis.XAddArgs{
		Stream: "tenzo:changes", MaxLen: 10000, Approx: true, Values: []string{field, value},
	}).Err())
}

// count returns a key's usage in Redis.
func count(ctx context.Context, rdb redis.UniversalClient, k key) (int64, error) {
	n, err := rdb.HGet(ctx, "tenzo:usage:"+k.id, "count").Int64()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	return n, err
}

// createKey creates a key with the command.
func createKey(t *testing.T, redisURL, org string, args ...string) key {
	t.Helper()
	args = append([]string{"keys", "create", "--org", org, "--name", "made by the command", "--json"}, args...)
	r := harness.RunGateway(t, []string{"TENZO_REDIS_URL=" + redisURL}, "", args...)
	if r.Status != 0 {
		t.Fatalf("keys create ended with %d: %s", r.Status, r.Stderr)
	}
	var created struct{ ID, Key string }
	must(t, json.Unmarshal([]byte(r.Stdout), &created))
	sum := sha256.Sum256([]byte(created.Key))
	return key{secret: created.Key, hash: hex.EncodeToString(sum[:]), id: created.ID, org: org}
}

// listed is a key in the output of `keys list --json`.
type listed struct {
	ID         string     `json:"id"`
	OrgID      string     `json:"org_id"`
	Name       string     `json:"name"`
	Hint       string     `json:"hint"`
	Status     string     `json:"status"`
	UsageCount int64      `json:"usage_count"`
	LastUsedAt time.Time  `json:"last_used_at"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
}

// list lists the keys of an organization with the command.
func list(t *testing.T, redisURL, org string) []listed {
	t.Helper()
	r := command(t, redisURL, "keys", "list", "--org", org, "--json")
	if r.Status != 0 {
		t.Fatalf("keys list: %s", r.Stderr)
	}
	var page struct{ Items []listed }
	must(t, json.Unmarshal([]byte(r.Stdout), &page))
	return page.Items
}
