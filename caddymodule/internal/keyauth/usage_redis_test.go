package keyauth

// This file tests usage counts on a real Redis.

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// usageOf returns what everybody can read of a key's use, and the private fields.
func usageOf(t *testing.T, c redis.Cmdable, id string) (count, last string, private []string) {
	t.Helper()
	all, err := c.HGetAll(t.Context(), names.Usage(id)).Result()
	if err != nil {
		t.Fatal(err)
	}
	for f := range all {
		if strings.HasPrefix(f, "p:") {
			private = append(private, f)
		}
	}
	return all["count"], all["last_used_at"], private
}

func (p *process) useAll(t *testing.T, key apikey.Created, n int) {
	t.Helper()
	for range n {
		want(t, "verdict", p.ask(key.Secret), "allowed "+key.ID)
	}
}

func awaitCount(t *testing.T, c redis.Cmdable, id, count string) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, func() error {
		if got, _, _ := usageOf(t, c, id); got != count {
			return fmt.Errorf("the count is %q, not %s", got, count)
		}
		return nil
	})
}

func TestRedisUsage(t *testing.T) {
	r := marked(t)
	c := r.Client(t)
	one, two := startOn(t, r.URL(), Options{}), startOn(t, r.URL(), Options{})
	key := one.create(t)
	one.useAll(t, key, 5)
	two.useAll(t, key, 7)
	before := time.Now()
	awaitCount(t, c, key.ID, "12")
	two.useAll(t, key, 3)
	awaitCount(t, c, key.ID, "15")
	_, last, private := usageOf(t, c, key.ID)
	want(t, "private fields", len(private), 2)
	if at, err := time.Parse(time.RFC3339, last); err != nil || at.Before(before.Truncate(time.Millisecond)) {
		t.Errorf("last_used_at is %s, %v", last, err)
	}
	two.useAll(t, key, 1)
	two.end()
	awaitCount(t, c, key.ID, "16")
	_, _, private = usageOf(t, c, key.ID)
	want(t, "private fields after a graceful stop", len(private), 1)
}

// The fields of processes that were silent for a week are removed, and the count stays.
func TestRedisUsageOfSilentProcesses(t *testing.T) {
	r := marked(t)
	c := r.Client(t)
	p := startOn(t, r.URL(), Options{})
	key := p.create(t)
	const silentAfter = 7 * 24 * time.Hour // as in package usage
	ago := func(d time.Duration) string { return fmt.Sprint("40 ", time.Now().Add(-d).Unix()) }
	if err := c.HSet(t.Context(), names.Usage(key.ID), "count", 80, "last_used_at", "2026-01-01T00:00:00.000Z",
		"p:dead", ago(silentAfter+time.Hour), "p:cutoff", ago(silentAfter-time.Hour), "note", "private to others").Err(); err != nil {
		t.Fatal(err)
	}
	p.useAll(t, key, 2)
	awaitCount(t, c, key.ID, "82")
	all, err := c.HGetAll(t.Context(), names.Usage(key.ID)).Result()
	if err != nil {
		t.Fatal(err)
	}
	want(t, "the dead one's field", all["p:dead"], "")
	if all["p:cutoff"] == "" || all["note"] == "" {
		t.Errorf("too much was folded: %v", all)
	}
}

// The answer to a flush is lost after the script ran.
func TestRedisUsageLostAnswer(t *testing.T) {
	r := marked(t)
	c := r.Client(t)
	proxy := harness.StartProxy(t, r.Addr())
	p := startOn(t, "redis://"+proxy.Addr(), Options{})
	key := p.create(t)
	p.useAll(t, key, 1)
	awaitCount(t, c, key.ID, "1")
	harness.Eventually(t, 10*time.Second, func() error {
		if n := p.usage.Pending(); n > 0 {
			return fmt.Errorf("%d are pending", n)
		}
		return nil
	})
	proxy.MuteAnswers()
	p.useAll(t, key, 5) // admitted from the cache
	awaitCount(t, c, key.ID, "6")
	want(t, "pending", p.usage.Pending(), 5)
	proxy.Cut()
	proxy.Heal()
	harness.Eventually(t, 10*time.Second, func() error {
		if n := p.usage.Pending(); n > 0 {
			return fmt.Errorf("%d are pending", n)
		}
		return nil
	})
	awaitCount(t, c, key.ID, "6")
}

// Redis is killed and comes back in the state of a moment earlier, as after losing the tail of its
// AOF.
func TestRedisUsageAfterRollback(t *testing.T) {
	r := harness.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	r.Mark()
	c := r.Client(t)
	p := startOn(t, r.URL(), Options{})
	busy, idle := p.create(t), p.create(t)
	p.useAll(t, busy, 5)
	p.useAll(t, idle, 4)
	awaitCount(t, c, busy.ID, "5")
	old := t.TempDir()
	if err := os.CopyFS(old, os.DirFS(filepath.Join(r.Dir(), "appendonlydir"))); err != nil {
		t.Fatal(err)
	}
	p.useAll(t, busy, 5)
	p.useAll(t, idle, 4)
	awaitCount(t, c, busy.ID, "10")
	awaitCount(t, c, idle.ID, "8")
	r.Kill()
	restore(t, old, filepath.Join(r.Dir(), "appendonlydir"))
	r.Start()
	if got, _, _ := usageOf(t, c, idle.ID); got == "8" {
		t.Fatal("Redis did not come back older")
	}
	p.useAll(t, busy, 1)
	awaitCount(t, c, busy.ID, "11")
	awaitCount(t, c, idle.ID, "8")
}

// restore replaces the files in to by those in from.
func restore(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(to, func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
		t.Fatal(err)
	}
}

// The log names the key whose usage record is of another type, and the counts of other keys are
// written.
func TestRedisUsageOfAnotherType(t *testing.T) {
	r := marked(t)
	c := r.Client(t)
	p := startOn(t, r.URL(), Options{})
	bad, good := p.create(t), p.create(t)
	if err := c.Set(t.Context(), names.Usage(bad.ID), "no hash", 0).Err(); err != nil {
		t.Fatal(err)
	}
	p.useAll(t, bad, 2)
	p.useAll(t, good, 3)
	awaitCount(t, c, good.ID, "3")
	harness.Eventually(t, 5*time.Second, func() error {
		if log := p.log.String(); !strings.Contains(log, "rejected some usage counts") || !strings.Contains(log, bad.ID) {
			return fmt.Errorf("logged %s", log)
		}
		return nil
	})
	if err := c.Del(t.Context(), names.Usage(bad.ID)).Err(); err != nil {
		t.Fatal(err)
	}
	awaitCount(t, c, bad.ID, "2")
}
