package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sentinel is a primary and its replica, watched by three Sentinels that call the primary "main".
type Sentinel struct {
	t         testing.TB
	primary   *Redis
	replica   *Redis
	sentinels []string // host:port
}

// StartSentinel starts them, and waits until the replica is in sync and the Sentinels know it.
func StartSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	s := &Sentinel{t: t, primary: StartRedis(t, args...), replica: StartRedis(t, args...)}
	s.replica.ReplicaOf(s.primary)
	for range 3 {
		s.sentinels = append(s.sentinels, startSentinel(t, s.primary))
	}
	for _, addr := range s.sentinels {
		Eventually(t, 30*time.Second, func() error { return s.ready(addr) })
	}
	return s
}

func startSentinel(t testing.TB, primary *Redis) (addr string) {
	t.Helper()
	r := newRedis(t)
	conf := filepath.Join(r.dir, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor main 127.0.0.1 %d 2\n"+
		"sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n", r.port, r.dir, primary.Port())
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.args = []string{conf, "--sentinel"}
	r.Start()
	return r.Addr()
}

func (s *Sentinel) ready(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c := redis.NewSentinelClient(&redis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	info, err := c.Master(ctx, "main").Result()
	if err != nil {
		return err
	}
	if info["num-slaves"] != "1" || info["num-other-sentinels"] != "2" {
		return fmt.Errorf("knows %s replicas and %s other Sentinels", info["num-slaves"], info["num-other-sentinels"])
	}
	rc := s.replica.dial()
	defer func() { _ = rc.Close() }()
	repl, err := rc.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	if !strings.Contains(repl, "master_link_status:up") {
		return fmt.Errorf("the replica has no link to its primary")
	}
	return nil
}

// URL names the Sentinels, not the server.
func (s *Sentinel) URL() string {
	return "redis://" + s.sentinels[0] + "?master_name=main&addr=" + strings.Join(s.sentinels[1:], "&addr=")
}

// Primary returns the server that was started as the primary.
func (s *Sentinel) Primary() *Redis { return s.primary }

// Replica returns the server that was started as the replica.
func (s *Sentinel) Replica() *Redis { return s.replica }

// Failover kills the primary and waits until the Sentinels have promoted the replica.
func (s *Sentinel) Failover() {
	s.t.Helper()
	s.primary.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c := redis.NewSentinelClient(&redis.Options{Addr: s.sentinels[0]})
	defer func() { _ = c.Close() }()
	Eventually(s.t, 60*time.Second, func() error {
		at, err := c.GetMasterAddrByName(ctx, "main").Result()
		if err != nil {
			return err
		}
		if at[1] != strconv.Itoa(s.replica.Port()) {
			return fmt.Errorf("the primary is still at port %s", at[1])
		}
		return nil
	})
}

// Cluster is a Redis Cluster of three primaries.
type Cluster struct {
	Nodes []*Redis
}

// StartCluster starts a cluster and waits until every node reports it complete.
func StartCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{}
	for range 3 {
		c.Nodes = append(c.Nodes, StartRedis(t, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"}, args...)...))
	}
	const slots = 16384
	for i, node := range c.Nodes {
		first, last := i*slots/len(c.Nodes), (i+1)*slots/len(c.Nodes)-1
		node.do("cluster", "addslotsrange", first, last)
		node.do("cluster", "set-config-epoch", i+1)
		if i > 0 {
			c.Nodes[0].do("cluster", "meet", "127.0.0.1", node.Port())
		}
	}
	for _, node := range c.Nodes {
		client := node.Client(t)
		Eventually(t, 30*time.Second, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			info, err := client.ClusterInfo(ctx).Result()
			if err != nil {
				return err
			}
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3") {
				return fmt.Errorf("the cluster is not whole: %s", info)
			}
			return nil
		})
	}
	return c
}

// URL names all nodes.
func (c *Cluster) URL() string {
	addrs := c.addrs()
	return "redis://" + addrs[0] + "?addr=" + strings.Join(addrs[1:], "&addr=")
}

// Client returns a client of the cluster that is closed when the test ends.
func (c *Cluster) Client(t testing.TB) *redis.ClusterClient {
	t.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: c.addrs()})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (c *Cluster) addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		addrs[i] = n.Addr()
	}
	return addrs
}

// Mark writes the schema marker of a store with the default prefix.
func (c *Cluster) Mark(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Client(t).Set(ctx, "tenzo:schema", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
}
