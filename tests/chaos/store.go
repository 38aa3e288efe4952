package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// eventsKey names the slot of the events.
const eventsKey = "{tenzo:events}"

// store is the Redis of a seed, with the faults that this kind of Redis can have.
type store struct {
	w       *world
	rdb     redis.UniversalClient // of the load and the checks: past the proxies, without retries
	url     func(process int) string
	proxies []*harness.Proxy // one a process, where there is a single server
	faults  []func(d *dice) step
	async   bool // a failover may lose acknowledged writes that no replica has
	sharded bool // only the shard of the events has a replica
}

// step is a fault as the schedule has it.
type step struct {
	name string
	run  func()
}

// persistent are the arguments of a Redis that loses no acknowledged write when it is killed.
var persistent = []string{"--appendonly", "yes", "--appendfsync", "always"}

func newStore(w *world, kind string) *store {
	s := &store{w: w}
	switch kind {
	case "sentinel":
		s.startSentinel()
	case "cluster":
		s.startCluster()
	default:
		s.startSingle()
	}
	return s
}

func (s *store) startSingle() {
	t := s.w.tb
	r := harness.StartRedis(t, persistent...)
	s.rdb = r.Client(t)
	for range processes {
		s.proxies = append(s.proxies, harness.StartProxy(t, r.Addr()))
	}
	s.url = func(process int) string { return "redis://" + s.proxies[process].Addr() }
	for _, f := range s.serverFaults(r) {
		s.faults = append(s.faults, f, f) // twice as likely as a fault of the network
	}
	s.faults = append(s.faults, s.networkFaults()...)
}

// serverFaults are the faults of one server.
func (s *store) serverFaults(r *harness.Redis) []func(d *dice) step {
	w := s.w
	rdb := r.Client(w.tb)
	do := func(args ...any) { w.must(rdb.Do(w.tb.ctx, args...).Err()) }
	return []func(d *dice) step{
		func(d *dice) step {
			down := d.between(0, 2*time.Second)
			return step{fmt.Sprintf("Redis killed, started again after %v", down), func() {
				r.Kill()
				w.sleep(down)
				r.Start()
			}}
		},
		func(d *dice) step {
			paused := d.between(50*time.Millisecond, 3*time.Second)
			if d.IntN(4) == 0 {
				paused = d.between(6*time.Second, 8*time.Second) // beyond the lease
			}
			return step{fmt.Sprintf("Redis paused for %v", paused), func() {
				r.Pause()
				w.sleep(paused)
				r.Resume()
			}}
		},
		func(d *dice) step {
			n := 1 + d.IntN(5)
			return step{fmt.Sprintf("all clients of Redis dropped, %d times", n), func() {
				for range n {
					do("client", "kill", "type", "normal", "skipme", "yes")
					do("client", "kill", "type", "pubsub")
					w.sleep(100 * time.Millisecond)
				}
			}}
		},
		func(d *dice) step {
			span := d.between(100*time.Millisecond, 3*time.Second)
			return step{fmt.Sprintf("MISCONF for %v: Redis cannot write to its disk", span), func() {
				// A snapshot that cannot be written: clients see what they see of a full disk.
				obstacle := filepath.Join(r.Dir(), "dump.rdb")
				w.must(os.Mkdir(obstacle, 0o755))
				do("config", "set", "save", "3600 1000000")
				do("bgsave")
				w.awaitWrite(rdb, "MISCONF")
				w.sleep(span)
				do("config", "set", "save", "")
				w.must(os.Remove(obstacle))
			}}
		},
		func(d *dice) step {
			span := d.between(100*time.Millisecond, 3*time.Second)
			return step{fmt.Sprintf("NOREPLICAS for %v: too few replicas", span), func() {
				do("config", "set", "min-replicas-to-write", 1)
				w.sleep(span)
				do("config", "set", "min-replicas-to-write", 0)
			}}
		},
		func(d *dice) step {
			span := d.between(100*time.Millisecond, 2*time.Second)
			return step{fmt.Sprintf("OOM for %v: Redis is full", span), func() {
				do("config", "set", "maxmemory", 1)
				w.sleep(span)
				do("config", "set", "maxmemory", 0)
			}}
		},
		func(d *dice) step {
			span := d.between(500*time.Millisecond, 3*time.Second)
			return step{fmt.Sprintf("BUSY: a script runs for %v", span), func() {
				do("config", "set", "busy-reply-threshold", 100)
				const loop = `local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end
					local till = now() + ARGV[1] while now() < till do end return 1`
				ctx, cancel := context.WithTimeout(w.tb.ctx, 20*time.Second)
				defer cancel()
				slow := redis.NewClient(&redis.Options{Addr: r.Addr(), ReadTimeout: 15 * time.Second, MaxRetries: -1})
				defer func() { _ = slow.Close() }()
				w.must(slow.Eval(ctx, loop, nil, span.Milliseconds()).Err())
			}}
		},
	}
}

// awaitWrite waits until a write is refused with the prefix.
func (w *world) awaitWrite(rdb *redis.Client, prefix string) {
	harness.Eventually(w.tb, 5*time.Second, func() error {
		if err := rdb.Set(w.tb.ctx, "tenzo:probe", 1, time.Minute).Err(); err == nil || !strings.HasPrefix(err.Error(), prefix) {
			return fmt.Errorf("a write is answered %v instead of %s", err, prefix)
		}
		return nil
	})
}

// networkFaults are the faults between one process and a single server.
func (s *store) networkFaults() []func(d *dice) step {
	fault := func(name string, longest time.Duration, begin, end func(*harness.Proxy)) func(d *dice) step {
		return func(d *dice) step {
			process, span := d.IntN(processes), d.between(20*time.Millisecond, longest)
			return step{fmt.Sprintf("%s and Redis: %s for %v", processNames[process], name, span), func() {
				begin(s.proxies[process])
				s.w.sleep(span)
				end(s.proxies[process])
			}}
		}
	}
	heal := (*harness.Proxy).Heal
	return []func(d *dice) step{
		fault("partition", 8*time.Second, (*harness.Proxy).Mute, heal),
		fault("connections refused", 4*time.Second, (*harness.Proxy).Cut, heal),
		fault("connections silent", time.Second, (*harness.Proxy).MuteConnections, (*harness.Proxy).CutConnections),
		fault("answers lost", 500*time.Millisecond, (*harness.Proxy).MuteAnswers, func(p *harness.Proxy) {
			p.Cut()
			p.Heal()
		}),
	}
}

func (s *store) startSentinel() {
	w := s.w
	sentinel := harness.StartSentinel(w.tb, persistent...)
	s.async = true
	s.url = func(int) string { return sentinel.URL() }
	u := strings.TrimPrefix(sentinel.URL(), "redis://")
	host, query, _ := strings.Cut(u, "?")
	addrs := []string{host}
	for part := range strings.SplitSeq(query, "&") {
		if addr, ok := strings.CutPrefix(part, "addr="); ok {
			addrs = append(addrs, addr)
		}
	}
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "main", SentinelAddrs: addrs, MaxRetries: -1, ContextTimeoutEnabled: true})
	w.tb.Cleanup(func() { _ = rdb.Close() })
	s.rdb = rdb
	done := false // the harness fails over once; lanes run their faults one after the other
	s.faults = []func(d *dice) step{func(d *dice) step {
		again := d.IntN(2) == 0
		return step{"Sentinel failover: the primary is killed", func() {
			if done {
				return
			}
			done = true
			sentinel.Failover()
			if again {
				sentinel.Primary().Start()
			}
		}}
	}}
}

func (s *store) startCluster() {
	w := s.w
	c := harness.StartCluster(w.tb, persistent...)
	s.async, s.sharded = true, true
	s.rdb = c.Client(w.tb)
	// A replica of the node that has the events.
	owner := s.owner(c, eventsKey)
	replica := harness.StartRedis(w.tb, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"}, persistent...)...)
	link := replica.Client(w.tb)
	w.must(link.ClusterMeet(w.tb.ctx, "127.0.0.1", strconv.Itoa(owner.Port())).Err())
	id := w.clusterID(owner)
	harness.Eventually(w.tb, 20*time.Second, func() error { return link.ClusterReplicate(w.tb.ctx, id).Err() })
	harness.Eventually(w.tb, 20*time.Second, func() error {
		info, err := link.Info(w.tb.ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New("the replica has no link to its primary")
		}
		return err
	})
	url := c.URL() + "&addr=" + replica.Addr()
	s.url = func(int) string { return url }
	killed := false
	s.faults = []func(d *dice) step{
		func(*dice) step {
			return step{"Cluster failover: the primary of the events is killed", func() {
				if killed {
					return
				}
				killed = true
				owner.Kill()
				s.awaitPrimary(link)
				owner.Start()
			}}
		},
		func(*dice) step {
			return step{"Cluster failover by command", func() {
				if err := link.Do(w.tb.ctx, "cluster", "failover").Err(); err == nil {
					s.awaitPrimary(link)
				}
			}}
		},
		func(d *dice) step {
			key, pause := eventsKey, d.between(0, 800*time.Millisecond)
			if d.IntN(2) == 0 {
				key = "tenzo:key:" + w.keys[d.IntN(len(w.keys))].hash
			}
			to := d.IntN(len(c.Nodes))
			return step{fmt.Sprintf("Cluster: the slot of %.20s… migrates to node %d, half way for %v", key, to, pause), func() {
				s.migrate(c, key, c.Nodes[to], pause)
			}}
		},
	}
}

func (s *store) awaitPrimary(node *redis.Client) {
	harness.Eventually(s.w.tb, 30*time.Second, func() error {
		info, err := node.Info(s.w.tb.ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "role:master") {
			err = errors.New("the replica is no primary yet")
		}
		return err
	})
}

// owner is the node that has a key's slot, nil where that is none of the harness's three.
func (s *store) owner(c *harness.Cluster, key string) *harness.Redis {
	ctx, cancel := context.WithTimeout(s.w.tb.ctx, 5*time.Second)
	defer cancel()
	node, err := s.rdb.(*redis.ClusterClient).MasterForKey(ctx, key)
	s.w.must(err)
	i := slices.IndexFunc(c.Nodes, func(n *harness.Redis) bool { return n.Addr() == node.Options().Addr })
	if i < 0 {
		return nil
	}
	return c.Nodes[i]
}

func (w *world) clusterID(r *harness.Redis) string {
	id, err := r.Client(w.tb).Do(w.tb.ctx, "cluster", "myid").Text()
	w.must(err)
	return id
}

// migrate moves a key's slot as redis-cli does, and stays half way for a time.
func (s *store) migrate(c *harness.Cluster, key string, to *harness.Redis, pause time.Duration) {
	w := s.w
	from := s.owner(c, key)
	if from == nil || from == to {
		return
	}
	ctx := w.tb.ctx
	source, target := from.Client(w.tb), to.Client(w.tb)
	if role, err := target.Do(ctx, "role").Slice(); err != nil || len(role) == 0 || role[0] != "master" {
		w.history.note("fault", "%s is a replica now: %v", to.Addr(), err)
		return
	}
	slot, err := source.ClusterKeySlot(ctx, key).Result()
	w.must(err)
	fromID, toID := w.clusterID(from), w.clusterID(to)
	w.must(target.Do(ctx, "cluster", "setslot", slot, "importing", fromID).Err())
	w.must(source.Do(ctx, "cluster", "setslot", slot, "migrating", toID).Err())
	for half := true; ; half = false {
		names, err := source.ClusterGetKeysInSlot(ctx, int(slot), 10).Result()
		w.must(err)
		if len(names) == 0 {
			break
		}
		host, port, err := net.SplitHostPort(to.Addr())
		w.must(err)
		args := []any{"migrate", host, port, "", 0, 5000, "keys"}
		for _, name := range names {
			args = append(args, name)
		}
		w.must(source.Do(ctx, args...).Err())
		if half {
			w.sleep(pause)
		}
	}
	w.must(target.Do(ctx, "cluster", "setslot", slot, "node", toID).Err())
	for _, node := range c.Nodes {
		if err := node.Client(w.tb).Do(ctx, "cluster", "setslot", slot, "node", toID).Err(); err != nil {
			// A replica learns it by itself.
			w.history.note("fault", "setslot on %s: %v", node.Addr(), err)
		}
	}
}

// confirmed runs writes in one pipeline and says whether Redis has them for good: acknowledged, and
// where a failover could lose that, on a replica.
func (s *store) confirmed(key string, f func(redis.Pipeliner)) (bool, error) {
	ctx, cancel := context.WithTimeout(s.w.tb.ctx, 2*time.Second)
	defer cancel()
	var rdb redis.Cmdable = s.rdb
	if c, ok := s.rdb.(*redis.ClusterClient); ok {
		node, err := c.MasterForKey(ctx, key)
		if err != nil {
			return false, err
		}
		rdb = node
	}
	p := rdb.Pipeline()
	f(p)
	var replicas *redis.Cmd
	replicated := s.async && (!s.sharded || key == eventsKey)
	if replicated {
		replicas = p.Do(ctx, "wait", 1, 300)
	}
	if _, err := p.Exec(ctx); err != nil {
		if c, ok := s.rdb.(*redis.ClusterClient); ok {
			c.ReloadState(ctx) // the slot may have moved
		}
		return false, err
	}
	if replicated {
		n, err := replicas.Int64()
		return n > 0, err
	}
	return !s.async, nil
}
