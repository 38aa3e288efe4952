package config_test

// This file tests what must work on a full Redis.

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/internal/storetest"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestFullRedis(t *testing.T) {
	r := harness.StartRedis(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
	r.Mark()
	st := storetest.Open(t, r.URL())
	keys, hooks := apikey.NewService(st), webhook.NewService(st, nil)
	made, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	url := "https://example.com/"
	for _, org := range []string{"acme", "other"} {
		if _, err := hooks.Set(storetest.Context(t), org, webhook.Change{URL: &url}, false); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, r.Client(t))
	// As after a restart: scripts are sent whole.
	if err := r.Client(t).ScriptFlush(storetest.Context(t)).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "y"}); !store.IsOOM(err) {
		t.Errorf("create: %v", err)
	}
	announced := func() int64 { return r.Client(t).XLen(storetest.Context(t), "tenzo:changes").Val() }
	before := announced()
	if key, _, err := keys.Revoke(storetest.Context(t), "acme", made.ID); err != nil || key.RevokedAt.IsZero() {
		t.Errorf("revoke: %+v, %v", key, err)
	}
	off := false
	if w, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{Active: &off}, true); err != nil || w.Active {
		t.Errorf("disable: %+v, %v", w, err)
	}
	if err := hooks.Delete(storetest.Context(t), "other"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if n := announced() - before; n != 3 {
		t.Errorf("%d of 3 announced", n)
	}
	if _, err := keys.List(storetest.Context(t), "acme", 0, ""); err != nil {
		t.Errorf("list: %v", err)
	}
}

// fill writes until the server is full.
func fill(t *testing.T, c *redis.Client) {
	t.Helper()
	for size := 1 << 16; size > 0; size /= 8 {
		text := strings.Repeat("x", size)
		for i := 0; ; i++ {
			if err := c.Set(storetest.Context(t), fmt.Sprint("fill:", size, ":", i), text, 0).Err(); store.IsOOM(err) {
				break
			} else if err != nil || i > 100000 {
				t.Fatalf("redis never got full: %v", err)
			}
		}
	}
}

// In a Cluster what is full may be a shard of its own.
func TestRevokeInAFullCluster(t *testing.T) {
	c := harness.StartCluster(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
	c.Mark(t)
	st := storetest.Open(t, c.URL())
	keys := apikey.NewService(st)
	var made []apikey.Created
	for range 6 {
		k, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, k)
	}
	client := c.Client(t)
	for size := 1 << 14; size > 0; size /= 8 { // the smaller, the closer to the limit
		text := strings.Repeat("x", size)
		for round, full := 0, false; !full; round++ {
			full = true
			for i := range 60 { // over all shards
				err := client.Set(storetest.Context(t), fmt.Sprint("fill:", size, ":", round, ":", i), text, 0).Err()
				full = full && store.IsOOM(err)
			}
			if round > 1000 {
				t.Fatal("the cluster never got full")
			}
		}
	}
	for _, k := range made {
		if key, _, err := keys.Revoke(storetest.Context(t), "acme", k.ID); err != nil || key.RevokedAt.IsZero() {
			t.Errorf("revoke: %+v, %v", key, err)
		}
	}
	if n := client.XLen(storetest.Context(t), "tenzo:changes").Val(); n != 12 {
		t.Errorf("%d announced", n)
	}
}
