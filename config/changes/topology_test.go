package changes_test

// This file tests the follower on each kind of Redis.

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/embedded"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestReplicaIsNotFollowed(t *testing.T) {
	w := newWorld(t)
	w.settled()
	since := time.Now()
	w.redis.ReplicaOf(harness.StartRedis(t))
	harness.Eventually(t, 5*time.Second, func() error {
		if w.log.count("lost the stream") == 0 {
			return fmt.Errorf("not noticed")
		}
		return nil
	})
	if at := w.follower.ProvenAt(); at.Sub(since) > 5*time.Second {
		t.Error("a replica proved something")
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if n := w.client.DBSize(t.Context()).Val(); n != 0 {
			return fmt.Errorf("it still has its own data")
		}
		return nil
	})
	w.redis.ReplicaOf(nil)
	w.proven(5 * time.Second)
	if w.seen.count("gap") == 0 {
		t.Error("its data was replaced by that of an empty primary, and there was no gap")
	}
}

func TestFollowsACluster(t *testing.T) {
	c := harness.StartCluster(t)
	w := &world{t: t, block: shortBlock}
	w.follow(c.URL())
	client := c.Client(t)
	w.wait(5*time.Second, "gap", 1)
	for i := range 3 {
		if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: "tenzo:changes", Values: []string{"key", hash(i)}}).Err(); err != nil {
			t.Fatal(err)
		}
		w.wait(2*time.Second, "key:"+hash(i), 1)
	}
	w.proven(5 * time.Second)
}

func TestFollowsTheEmbeddedServer(t *testing.T) {
	server, err := embedded.Start("127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	w := &world{t: t, block: shortBlock}
	w.follow(server.URL())
	w.client = redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(server.URL(), "redis://")})
	t.Cleanup(func() { _ = w.client.Close() })
	w.wait(5*time.Second, "gap", 1)
	w.settled()
	w.announce("key", hash(1))
	w.wait(2*time.Second, "key:"+hash(1), 1)
	w.proven(5 * time.Second)
	if n := w.seen.count("gap"); n != 0 {
		t.Errorf("%d gaps", n)
	}
	w.client.FlushAll(t.Context())
	w.wait(5*time.Second, "gap", 1)
}
