package changes_test

// This file tests gaps: the stream trimmed, emptied, replaced, or reached late.

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// In each case changes may have been missed, whether the follower was connected or not.
func TestGaps(t *testing.T) {
	ctx := context.Background()
	for name, tc := range map[string]func(w *world){
		"trimmed": func(w *world) {
			w.announce("key", hash(1))
			w.client.XTrimMaxLen(ctx, "tenzo:changes", 0)
		},
		"trimmed past our position": func(w *world) {
			w.announce("key", hash(1))
			w.announce("key", hash(2))
			w.client.XTrimMaxLen(ctx, "tenzo:changes", 1)
		},
		"deleted": func(w *world) { w.client.Del(ctx, "tenzo:changes") },
		"recreated": func(w *world) {
			w.client.Del(ctx, "tenzo:changes")
			w.announce("key", hash(2))
		},
		"recreated by a server whose clock is behind": func(w *world) {
			w.client.Del(ctx, "tenzo:changes")
			w.client.XAdd(ctx, &redis.XAddArgs{Stream: "tenzo:changes", ID: "5-1", Values: []string{"key", hash(2)}})
		},
		"emptied": func(w *world) { w.client.FlushAll(ctx) },
		"another server": func(w *world) {
			other := harness.StartRedis(w.t)
			other.Client(w.t).XAdd(ctx, &redis.XAddArgs{Stream: "tenzo:changes", Values: []string{"key", hash(2)}})
			w.client = other.Client(w.t)
			w.proxy.SetTarget(other.Addr())
		},
		"another, empty server": func(w *world) {
			other := harness.StartRedis(w.t)
			w.client = other.Client(w.t)
			w.proxy.SetTarget(other.Addr())
		},
		"restarted empty": func(w *world) { w.redis.Restart() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.settled()
			w.proxy.Cut()
			tc(w)
			w.proxy.Heal()
			harness.Eventually(t, 5*time.Second, func() error {
				if w.seen.count("gap") == 0 {
					return fmt.Errorf("no gap in %v", w.seen.all())
				}
				return nil
			})
			w.afterwards()
		})
		if strings.Contains(name, "server") && strings.HasPrefix(name, "another") || strings.HasPrefix(name, "restarted") {
			continue // cannot happen without a reconnect
		}
		t.Run(name+" while connected", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.settled()
			// One step for the follower. If it saw the steps one by one, there would be no gap.
			if name == "trimmed past our position" || name == "trimmed" {
				if err := redis.NewScript(`redis.call('XADD', KEYS[1], '*', 'key', ARGV[1]); redis.call('XADD', KEYS[1], '*', 'key', ARGV[2])
					redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[3])`).Run(ctx, w.client, []string{"tenzo:changes"}, hash(1), hash(2), 1).Err(); err != nil && err != redis.Nil {
					t.Fatal(err)
				}
			} else {
				tc(w)
			}
			harness.Eventually(t, 5*time.Second, func() error {
				if w.seen.count("gap") == 0 {
					return fmt.Errorf("no gap in %v", w.seen.all())
				}
				return nil
			})
			w.afterwards()
		})
	}
}

// afterwards checks that the follower works as before after a gap.
func (w *world) afterwards() {
	w.t.Helper()
	w.proven(5 * time.Second)
	w.announce("key", hash(99))
	w.wait(5*time.Second, "key:"+hash(99), 1)
	w.proven(5 * time.Second)
	w.seen.forget()
	w.announce("key", hash(100))
	w.wait(5*time.Second, "key:"+hash(100), 1)
	w.proven(5 * time.Second)
	if n := w.seen.count("gap"); n != 0 {
		w.t.Errorf("%d more gaps: %v", n, w.seen.all())
	}
}

func TestReconnectToAnEmptyStreamIsAGap(t *testing.T) {
	w := newWorld(t)
	w.proven(5 * time.Second)
	w.proven(5 * time.Second)
	gaps := w.seen.count("gap")
	w.proxy.CutConnections()
	w.wait(5*time.Second, "gap", gaps+1)
	w.proven(5 * time.Second)
	w.proven(5 * time.Second)
	if n := w.seen.count("gap"); n != gaps+1 {
		t.Errorf("%d gaps of one cut", n-gaps)
	}
}

func TestFirstContactLate(t *testing.T) {
	w := &world{t: t, redis: harness.StartRedis(t), block: shortBlock}
	w.client = w.redis.Client(t)
	w.announce("key", hash(1))
	w.proxy = harness.StartProxy(t, w.redis.Addr())
	w.proxy.Cut()
	w.follow("redis://" + w.proxy.Addr())
	if !w.follower.ProvenAt().IsZero() {
		t.Error("proven before the first contact")
	}
	w.proxy.Heal()
	w.wait(5*time.Second, "gap", 1)
	w.proven(5 * time.Second)
	if n := w.seen.count("key:" + hash(1)); n != 0 {
		t.Error("a change announced before anything could be cached was delivered")
	}
}
