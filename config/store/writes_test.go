package store_test

// This file tests what is said of a Redis that answers and refuses writes.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestMonitorNamesRefusedWrites(t *testing.T) {
	for name, c := range map[string]struct {
		spoil, mend  func(t *testing.T, r *harness.Redis, c *redis.Client)
		problem, log string
	}{
		"full": {
			func(t *testing.T, _ *harness.Redis, c *redis.Client) {
				t.Helper()
				set(t, c, "maxmemory", "1")
			},
			func(t *testing.T, _ *harness.Redis, c *redis.Client) { t.Helper(); set(t, c, "maxmemory", "0") },
			"full: writes are refused", "redis is full and refuses writes",
		},
		"too few replicas": {
			func(t *testing.T, _ *harness.Redis, c *redis.Client) {
				t.Helper()
				set(t, c, "min-replicas-to-write", "1")
			},
			func(t *testing.T, _ *harness.Redis, c *redis.Client) {
				t.Helper()
				set(t, c, "min-replicas-to-write", "0")
			},
			"refuses writes: NOREPLICAS Not enough good replicas to write: bring the replicas back, or lower min-replicas-to-write",
			"redis refuses writes",
		},
		"snapshots fail": {
			func(t *testing.T, _ *harness.Redis, c *redis.Client) {
				t.Helper()
				// A directory that is not empty, in the place of the snapshot, cannot be replaced.
				dir := c.ConfigGet(ctx(t), "dir").Val()["dir"]
				if err := os.MkdirAll(filepath.Join(dir, "taken", "x"), 0o700); err != nil {
					t.Fatal(err)
				}
				set(t, c, "save", "3600 1")
				if err := c.Set(ctx(t), "x", "1", 0).Err(); err != nil {
					t.Fatal(err)
				}
				c.BgSave(ctx(t))
			},
			func(t *testing.T, _ *harness.Redis, c *redis.Client) {
				t.Helper()
				set(t, c, "stop-writes-on-bgsave-error", "no")
			},
			"refuses writes: MISCONF ", "redis refuses writes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := harness.StartRedis(t, "--dir", t.TempDir(), "--dbfilename", "taken")
			r.Mark()
			st := open(t, store.Options{URL: r.URL()})
			m, l := watch(t, st)
			within(t, 3*time.Second, m, func(s store.State) bool { return s.Err == nil })
			c.spoil(t, r, r.Client(t))
			within(t, 5*time.Second, m, func(s store.State) bool {
				return s.Up && s.Initialized && strings.HasPrefix(store.Problem(s.Err), c.problem)
			})
			if n := l.count(c.log); n != 1 {
				t.Errorf("%d lines %q in\n%s", n, c.log, l)
			}
			c.mend(t, r, r.Client(t))
			within(t, 3*time.Second, m, func(s store.State) bool { return s.Err == nil })
			if l.count("redis accepts writes again") != 1 {
				t.Errorf("log:\n%s", l)
			}
			if got := r.Client(t).Get(ctx(t), "tenzo:schema").Val(); got != store.SchemaVersion {
				t.Errorf("the probe changed the marker to %q", got)
			}
		})
	}
}

// A probe that changed something would fill the append-only file and the replicas' streams.
func TestWriteProbeWritesNothing(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	c := r.Client(t)
	st := open(t, store.Options{URL: r.URL()})
	before := store.InfoField(c.Info(ctx(t), "persistence").Val(), "rdb_changes_since_last_save")
	m, _ := watch(t, st)
	within(t, 3*time.Second, m, func(s store.State) bool { return s.Err == nil })
	probed := strings.Contains(c.Info(ctx(t), "commandstats").Val(), "cmdstat_setrange:calls=")
	if after := store.InfoField(c.Info(ctx(t), "persistence").Val(), "rdb_changes_since_last_save"); !probed || after != before {
		t.Errorf("probed: %v, changes before %s, after %s", probed, before, after)
	}
}

func set(t *testing.T, c *redis.Client, name, value string) {
	t.Helper()
	if err := c.ConfigSet(ctx(t), name, value).Err(); err != nil {
		t.Fatal(err)
	}
}

// scriptPlace is what an operator must never read.
var scriptPlace = regexp.MustCompile(`script: |user_script|[0-9a-f]{40}`)

// The errors of commands say what to do, and nothing about the place in a script.
func TestErrorRepliesAreReadable(t *testing.T) {
	write := redis.NewScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)
	for name, c := range map[string]struct {
		spoil func(c *redis.Client)
		want  string
	}{
		"NOREPLICAS": {
			func(c *redis.Client) { set(t, c, "min-replicas-to-write", "1") },
			"NOREPLICAS Not enough good replicas to write: bring the replicas back, or lower min-replicas-to-write",
		},
		"OOM": {
			func(c *redis.Client) { set(t, c, "maxmemory", "1") },
			"OOM command not allowed when used memory > 'maxmemory': raise maxmemory, or remove what the memory is used for",
		},
		"WRONGTYPE": {
			func(c *redis.Client) { c.HSet(ctx(t), "tenzo:x", "a", "b") },
			"",
		},
		"READONLY": {
			func(c *redis.Client) { c.Do(ctx(t), "replicaof", "127.0.0.1", "1") },
			"READONLY You can't write against a read only replica: the redis URL must lead to the primary",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := harness.StartRedis(t)
			r.Mark()
			st := open(t, store.Options{URL: r.URL()})
			if err := st.Client().Ping(ctx(t)).Err(); err != nil { // while it is a primary
				t.Fatal(err)
			}
			c.spoil(r.Client(t))
			pipe := st.Client().Pipeline()
			inPipeline := write.Eval(ctx(t), pipe, []string{"tenzo:x"}, "1")
			_, execErr := pipe.Exec(ctx(t))
			errs := map[string]error{
				"in a pipeline": inPipeline.Err(), "of the pipeline": execErr,
			}
			if name != "READONLY" { // which closes the connection
				errs["alone"] = write.Run(ctx(t), st.Client(), []string{"tenzo:x"}, "1").Err()
			}
			for how, err := range errs {
				if err == nil || scriptPlace.MatchString(err.Error()) || c.want != "" && err.Error() != c.want {
					t.Errorf("%s: %v, want %s", how, err, c.want)
				}
				if name != "WRONGTYPE" && !redis.HasErrorPrefix(fmt.Errorf("x: %w", err), name) {
					t.Errorf("%s: the error is no longer that of Redis: %v", how, err)
				}
			}
			if name == "OOM" && !store.IsOOM(inPipeline.Err()) {
				t.Error("IsOOM does not know it any more")
			}
		})
	}
}

// While a script of somebody else runs, commands are refused with BUSY.
func TestBusyRedis(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	st := open(t, store.Options{URL: r.URL()})
	client := r.Client(t)
	set(t, client, "busy-reply-threshold", "10")
	if err := st.Client().Ping(ctx(t)).Err(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		client.Eval(ctx(t), "while true do end", nil)
	}()
	var err error
	harness.Eventually(t, 5*time.Second, func() error {
		if err = st.Client().Get(ctx(t), "x").Err(); err == nil || errors.Is(err, redis.Nil) {
			return errors.New("not busy yet")
		}
		return nil
	})
	want := "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE: find out who runs the script; SCRIPT KILL ends one that has not written"
	if err.Error() != want || store.Problem(err) != "refuses commands: "+want {
		t.Errorf("%v", err)
	}
	if err := r.Client(t).ScriptKill(ctx(t)).Err(); err != nil {
		t.Error(err)
	}
	<-done
}
