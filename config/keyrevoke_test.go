package config_test

// This file looks at how a revocation asks for a replica: on the wire, since what a Redis newer than 7.0 makes of the wrong order cannot be
// seen on a 7.0.

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// watched is one command that a server carried out: who sent it ("lua" for those of a script), and its words, lower case.
type watched struct{ from, command string }

var monitorLine = regexp.MustCompile(`^\+[0-9.]+ \[[0-9]+ (\S+)\] (.*)$`)

// monitor returns a function that returns the commands of a server up to and including the next one that begins with a word.
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
		if info := client.Info(ctx(t), "replication").Val(); !strings.Contains(info, "state=online") {
			return errors.New(info)
		}
		return nil
	})
}

// Since Redis 7.2, WAIT answers for the last write of its own connection, and on one that wrote nothing says at once that all is well.
func TestTheConnectionThatWaitsForAReplicaHasWrittenTheRevocation(t *testing.T) {
	t.Run("single", func(t *testing.T) {
		primary := harness.StartRedis(t)
		primary.Mark()
		harness.StartRedis(t).ReplicaOf(primary)
		online(t, primary)
		// With pool_fifo no connection is used twice running, where there are two.
		st := open(t, primary.URL()+"?pool_fifo=true&min_idle_conns=3")
		keys := config.NewKeys(st)
		made, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "x"})
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
		id := primary.Client(t).Do(ctx(t), "cluster", "myid").Val()
		if err := client.Do(ctx(t), "cluster", "meet", "127.0.0.1", primary.Port()).Err(); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 20*time.Second, func() error { return client.Do(ctx(t), "cluster", "replicate", id).Err() })
		online(t, primary)
		st := open(t, c.URL())
		keys := config.NewKeys(st)
		for range 200 {
			made, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "x"})
			if err != nil {
				t.Fatal(err)
			}
			if slot := client.ClusterKeySlot(ctx(t), st.Names().Key(config.HashKey(made.Secret))).Val(); slot < 16384/3 {
				writesThenWaits(t, primary, st, made)
				return
			}
		}
		t.Fatal("no key is in the first shard")
	})
}

// writesThenWaits revokes a key twice, since who repeats it gets an answer as good as the first.
func writesThenWaits(t *testing.T, primary *harness.Redis, st *store.Store, key config.CreatedKey) {
	t.Helper()
	until := monitor(t, primary)
	written := "hset " + st.Names().Key(config.HashKey(key.Secret)) + " " + store.KeyRevokedAt
	for _, which := range []string{"first", "repeated"} {
		if _, replica, err := config.NewKeys(st).Revoke(ctx(t), "acme", key.ID); err != nil || replica != config.OnReplica {
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
