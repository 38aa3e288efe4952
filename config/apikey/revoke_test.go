package apikey_test

// This file tests how a revocation waits for a replica. It watches the commands, because what a
// Redis newer than 7.0 makes of a wrong order cannot be seen on a 7.0.

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/internal/storetest"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// watched is one command that a server carried out: who sent it ("lua" for those of a script), and
// its words, lower case.
type watched struct{ from, command string }

var monitorLine = regexp.MustCompile(`^\+[0-9.]+ \[[0-9]+ (\S+)\] (.*)$`)

// monitor returns a function that returns the commands of a server up to and including the next one
// that begins with a word.
func monitor(t *testing.T, r *harness.Redis) (until func(word string) []watched) {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	read := func() string {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("watching redis: %v", err)
		}
		return strings.TrimSpace(line)
	}
	if ok := read(); ok != "+OK" {
		t.Fatal(ok)
	}
	return func(word string) []watched {
		var seen []watched
		for {
			m := monitorLine.FindStringSubmatch(read())
			if m == nil {
				continue
			}
			w := watched{from: m[1], command: strings.ToLower(strings.ReplaceAll(m[2], `"`, ""))}
			seen = append(seen, w)
			if strings.HasPrefix(w.command, word) {
				return seen
			}
		}
	}
}

// online waits until a server has a replica that takes its writes.
func online(t *testing.T, r *harness.Redis) {
	t.Helper()
	client := r.Client(t)
	harness.Eventually(t, 30*time.Second, func() error {
		if info := client.Info(storetest.Context(t), "replication").Val(); !strings.Contains(info, "state=online") {
			return errors.New(info)
		}
		return nil
	})
}

// Since Redis 7.2, WAIT answers for the last write of its own connection, and on one that wrote
// nothing says at once that all is well.
func TestTheConnectionThatWaitsForAReplicaHasWrittenTheRevocation(t *testing.T) {
	t.Run("single", func(t *testing.T) {
		primary := harness.StartRedis(t)
		primary.Mark()
		harness.StartRedis(t).ReplicaOf(primary)
		online(t, primary)
		// With pool_fifo no connection is used twice running, where there are two.
		st := storetest.Open(t, primary.URL()+"?pool_fifo=true&min_idle_conns=3")
		keys := apikey.NewService(st)
		made, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		writesThenWaits(t, primary, st, made)
	})
	t.Run("cluster", func(t *testing.T) {
		c := harness.StartCluster(t)
		c.Mark(t)
		primary, replica := c.Nodes[0], harness.StartRedis(t, "--cluster-enabled", "yes")
		client := replica.Client(t)
		id := primary.Client(t).Do(storetest.Context(t), "cluster", "myid").Val()
		if err := client.Do(storetest.Context(t), "cluster", "meet", "127.0.0.1", primary.Port()).Err(); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 20*time.Second, func() error { return client.Do(storetest.Context(t), "cluster", "replicate", id).Err() })
		online(t, primary)
		st := storetest.Open(t, c.URL())
		keys := apikey.NewService(st)
		for range 200 {
			made, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "x"})
			if err != nil {
				t.Fatal(err)
			}
			if slot := client.ClusterKeySlot(storetest.Context(t), st.Names().Key(apikey.Hash(made.Secret))).Val(); slot < 16384/3 {
				writesThenWaits(t, primary, st, made)
				return
			}
		}
		t.Fatal("no key is in the first shard")
	})
}

// writesThenWaits revokes a key twice, since who repeats it gets an answer as good as the first.
func writesThenWaits(t *testing.T, primary *harness.Redis, st *store.Store, key apikey.Created) {
	t.Helper()
	until := monitor(t, primary)
	written := "hset " + st.Names().Key(apikey.Hash(key.Secret)) + " " + store.KeyRevokedAt
	for _, which := range []string{"first", "repeated"} {
		if _, replica, err := apikey.NewService(st).Revoke(storetest.Context(t), "acme", key.ID); err != nil || replica != apikey.OnReplica {
			t.Errorf("%s revocation: %v, %v", which, replica, err)
		}
		seen := until("wait")
		waiting := seen[len(seen)-1].from
		wrote, last := false, ""
		for _, w := range seen[:len(seen)-1] {
			switch w.from {
			case "lua":
				wrote = wrote || last == waiting && strings.HasPrefix(w.command, written)
			default:
				last = w.from
			}
		}
		if !wrote {
			t.Errorf("%s revocation: the connection that waits (%s) did not write %q:\n%s", which, waiting, written, fmt.Sprintln(seen))
		}
	}
}

func TestRevokeWaitsForAReplica(t *testing.T) {
	primary := harness.StartRedis(t)
	primary.Mark()
	keys := apikey.NewService(storetest.Open(t, primary.URL()))
	revoke := func(want apikey.Replicated) time.Duration {
		t.Helper()
		made, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, got, err := keys.Revoke(storetest.Context(t), "acme", made.ID)
		if err != nil || got != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
		return time.Since(start)
	}
	// Each takes less than the second that it would wait at most; on a busy machine, one of five
	// does.
	quickly := func(want apikey.Replicated, atMost time.Duration) {
		t.Helper()
		var took time.Duration
		for range 5 {
			if took = revoke(want); took <= atMost {
				return
			}
		}
		t.Errorf("it waits though it need not: %v", took)
	}
	quickly(apikey.NoReplica, 500*time.Millisecond)
	replica := harness.StartRedis(t)
	replica.ReplicaOf(primary)
	client := primary.Client(t)
	harness.Eventually(t, 20*time.Second, func() error {
		if info := client.Info(storetest.Context(t), "replication").Val(); !strings.Contains(info, "state=online") {
			return errors.New(info)
		}
		return nil
	})
	quickly(apikey.OnReplica, 900*time.Millisecond)
	replica.Pause()
	defer replica.Resume()
	if took := revoke(apikey.NotOnReplica); took < 900*time.Millisecond || took > 2500*time.Millisecond {
		t.Errorf("it waited %v, not a second", took)
	}
}
