package store_test

// This file makes trouble for a store: replicas, pauses, restarts, a full Redis.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func marked(t *testing.T, args ...string) (*harness.Redis, *store.Store) {
	t.Helper()
	r := harness.StartRedis(t, args...)
	r.Mark()
	return r, open(t, store.Options{URL: r.URL()})
}

func TestReplicaIsRefusedWhenItIsDialled(t *testing.T) {
	primary := harness.StartRedis(t)
	replica := harness.StartRedis(t)
	replica.ReplicaOf(primary)
	st := open(t, store.Options{URL: replica.URL()})
	if err := st.Initialized(ctx(t)); !errors.Is(err, store.ErrReplica) {
		t.Errorf("initialized: %v", err)
	}
	if h := st.ReadHashes(ctx(t), st.Names().Key("x"))[0]; !errors.Is(h.Err, store.ErrReplica) {
		t.Errorf("reading: %+v", h)
	}
	if err := st.BlockingClient().Ping(ctx(t)).Err(); !errors.Is(err, store.ErrReplica) {
		t.Errorf("the other client: %v", err)
	}
}

func TestWriteToAReplicaDropsItsConnections(t *testing.T) {
	r, st := marked(t)
	for range 5 { // connections that are open when the server becomes a replica
		if err := st.Initialized(ctx(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.BlockingClient().Ping(ctx(t)).Err(); err != nil {
		t.Fatal(err)
	}
	r.ReplicaOf(harness.StartRedis(t))
	if err := st.Client().Set(ctx(t), "tenzo:x", "1", 0).Err(); err == nil {
		t.Fatal("a replica took a write")
	}
	for name, c := range map[string]redis.UniversalClient{"client": st.Client(), "blocking": st.BlockingClient()} {
		if err := c.Ping(ctx(t)).Err(); !errors.Is(err, store.ErrReplica) {
			t.Errorf("%s: a read after the refused write: %v", name, err)
		}
	}
	r.ReplicaOf(nil)
	if err := st.Client().Ping(ctx(t)).Err(); err != nil {
		t.Errorf("a primary again: %v", err)
	}
}

func TestPausedServerCostsNoMoreThanTheDeadline(t *testing.T) {
	r, st := marked(t)
	if err := st.Initialized(ctx(t)); err != nil {
		t.Fatal(err)
	}
	r.Pause()
	defer r.Resume()
	var wg sync.WaitGroup
	for i := range 60 { // more than the pool has connections: some dial, some wait for one
		wg.Go(func() {
			short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			start := time.Now()
			h := st.ReadHashes(short, st.Names().Key("x"))[0]
			if took := time.Since(start); h.Err == nil || took > 800*time.Millisecond {
				t.Errorf("read %d: %v after %v", i, h.Err, took)
			}
		})
	}
	wg.Wait()
	start := time.Now()
	if err := st.Initialized(context.Background()); err == nil {
		t.Error("a paused server answered")
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("without a deadline it took %v", took)
	}
}

func TestRecoversFromARestartAtOnce(t *testing.T) {
	r, st := marked(t, harness.AOF...)
	busy := func() {
		var wg sync.WaitGroup
		for range 15 {
			wg.Go(func() { _ = st.Client().Ping(ctx(t)) })
		}
		wg.Wait()
	}
	busy()
	r.Restart()
	// Every idle connection is dead; go-redis notices it before it uses one.
	for i := range 20 {
		if err := st.Initialized(ctx(t)); err != nil {
			t.Fatalf("command %d after the restart: %v", i, err)
		}
	}
	// And the server has forgotten the scripts.
	if h := st.ReadHashes(ctx(t), "tenzo:key:a", "tenzo:key:b", "tenzo:key:c"); h[0].Err != nil || h[1].Err != nil || !h[2].Initialized {
		t.Errorf("hashes after the restart: %+v", h)
	}
	r.Restart()
	if h := st.ReadHashes(ctx(t), "tenzo:key:a")[0]; h.Err != nil || !h.Initialized {
		t.Errorf("a hash after another restart: %+v", h)
	}
}

func TestReadHashesIsOneRoundTrip(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	m := store.NewMetrics()
	st := open(t, store.Options{URL: r.URL(), Metrics: m})
	keys := make([]string, 200)
	for i := range keys {
		keys[i] = fmt.Sprint("tenzo:key:", i)
	}
	st.ReadHashes(ctx(t), keys...) // teaches the script
	_, before := counted(t, m)
	for _, h := range st.ReadHashes(ctx(t), keys...) {
		if h.Err != nil || !h.Initialized {
			t.Fatal(h)
		}
	}
	if _, n := counted(t, m); n-before != 1 {
		t.Errorf("%v round trips", n-before)
	}
	if err := r.Client(t).ScriptFlush(ctx(t)).Err(); err != nil {
		t.Fatal(err)
	}
	_, before = counted(t, m)
	for _, h := range st.ReadHashes(ctx(t), keys...) {
		if h.Err != nil || !h.Initialized {
			t.Fatal(h)
		}
	}
	if _, n := counted(t, m); n-before != 2 {
		t.Errorf("%v round trips to a server that forgot the script", n-before)
	}
}

func TestWrongTypeIsTheTroubleOfItsOwnKey(t *testing.T) {
	r, st := marked(t)
	c := r.Client(t)
	c.Set(ctx(t), "tenzo:key:text", "no hash", 0)
	c.HSet(ctx(t), "tenzo:key:good", "id", "1")
	h := st.ReadHashes(ctx(t), "tenzo:key:text", "tenzo:key:good")
	if h[0].Err == nil || h[1].Err != nil || h[1].Fields["id"] != "1" {
		t.Errorf("%+v", h)
	}
}

// A marker of another type is a marker that is missing: what is found counts all the same.
func TestMarkerOfAnotherType(t *testing.T) {
	r, st := marked(t)
	c := r.Client(t)
	c.HSet(ctx(t), "tenzo:key:good", "id", "1")
	c.Del(ctx(t), "tenzo:schema")
	c.LPush(ctx(t), "tenzo:schema", store.SchemaVersion)
	h := st.ReadHashes(ctx(t), "tenzo:key:good", "tenzo:key:none")
	if h[0].Err != nil || h[0].Fields["id"] != "1" || h[0].Initialized {
		t.Errorf("what is there: %+v", h[0])
	}
	if h[1].Err != nil || len(h[1].Fields) != 0 || h[1].Initialized {
		t.Errorf("what is not there: %+v", h[1])
	}
	if err := st.Initialized(ctx(t)); !errors.Is(err, store.ErrNotInitialized) {
		t.Errorf("initialized: %v", err)
	}
	m, _ := watch(t, st)
	within(t, 5*time.Second, m, func(s store.State) bool { return s.Up && errors.Is(s.Err, store.ErrNotInitialized) })
}

// A server that turns a connection away has answered nothing, least of all that there is nothing.
func TestConnectionTurnedAway(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	for _, args := range [][]any{
		{"ACL", "SETUSER", "app", "on", ">right", "~tenzo:*", "+@all"},
		{"ACL", "SETUSER", "nameless", "on", ">right", "~tenzo:*", "+@all", "-client|setname"},
	} {
		if err := r.Client(t).Do(ctx(t), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct{ url, says string }{
		"wrong password":   {r.URLAs("app", "wrong"), "WRONGPASS"},
		"unknown user":     {r.URLAs("nobody", "right"), "WRONGPASS"},
		"unknown database": {r.URL() + "/99", "DB index"},
		"a missing right":  {r.URLAs("nameless", "right") + "?client_name=x", "NOPERM"},
	} {
		t.Run(name, func(t *testing.T) {
			st := open(t, store.Options{URL: c.url})
			m, _ := watch(t, st)
			within(t, 5*time.Second, m, func(s store.State) bool {
				return !s.Up && !s.Initialized && s.Err != nil && strings.Contains(s.Err.Error(), c.says)
			})
			if h := st.ReadHashes(ctx(t), "tenzo:key:x")[0]; h.Err == nil || !strings.Contains(h.Err.Error(), c.says) {
				t.Errorf("reading: %+v", h)
			}
			pipe := st.BlockingClient().Pipeline()
			one, two := pipe.Get(ctx(t), "tenzo:x"), pipe.HGetAll(ctx(t), "tenzo:y")
			_, _ = pipe.Exec(ctx(t))
			for _, cmd := range []redis.Cmder{one, two} {
				var reply redis.Error
				if err := cmd.Err(); err == nil || errors.As(err, &reply) {
					t.Errorf("%s: %v, which passes for an answer to it", cmd.Name(), err)
				}
			}
		})
	}
}

func TestFullRedis(t *testing.T) {
	r := harness.StartRedis(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
	r.Mark()
	m := store.NewMetrics()
	st := open(t, store.Options{URL: r.URL(), Metrics: m})
	c := r.Client(t)
	c.HSet(ctx(t), "tenzo:key:a", "id", "1")
	fill(t, c)
	if h := st.ReadHashes(ctx(t), "tenzo:key:a")[0]; h.Err != nil || h.Fields["id"] != "1" || !h.Initialized {
		t.Errorf("reading: %+v", h)
	}
	err := st.Client().Set(ctx(t), "tenzo:x", "1", 0).Err()
	if !store.IsOOM(err) {
		t.Errorf("writing: %v", err)
	}
	err = redis.NewScript(`return redis.call('SET', KEYS[1], '1')`).Run(ctx(t), st.Client(), []string{"tenzo:x"}).Err()
	if !store.IsOOM(err) {
		t.Errorf("writing in a script: %v", err)
	}
	if n := counterValue(t, m, "oom"); n != 2 {
		t.Errorf("oom counted %v times", n)
	}
}

// fill writes until the server is full.
func fill(t *testing.T, c *redis.Client) {
	t.Helper()
	text := strings.Repeat("x", 1<<16)
	for i := range 1000 {
		if err := c.Set(ctx(t), fmt.Sprint("fill:", i), text, 0).Err(); store.IsOOM(err) {
			// What is left is less than that; take it, too.
			for j := range 100000 {
				if err := c.Set(ctx(t), fmt.Sprint("fill:small:", j), "x", 0).Err(); store.IsOOM(err) {
					return
				}
			}
		}
	}
	t.Fatal("redis never got full")
}

// A Cluster client sends again what it got no answer to, unless it is kept from it.
func TestClusterSendsOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	fake := &fakeNode{l: l, seen: map[string]int{}}
	done := make(chan struct{})
	go func() { defer close(done); fake.serve() }()
	defer func() { _ = l.Close(); <-done }()

	st := open(t, store.Options{URL: "redis://" + l.Addr().String() + "?cluster=true"})
	err = st.Client().Incr(ctx(t), "tenzo:n").Err()
	if !errors.Is(err, io.EOF) {
		t.Errorf("a lost answer: %v", err)
	}
	pipe := st.Client().Pipeline()
	pipe.Decr(ctx(t), "tenzo:n")
	if _, err = pipe.Exec(ctx(t)); !errors.Is(err, io.EOF) {
		t.Errorf("a lost answer in a pipeline: %v", err)
	}
	if n, m := fake.count("incr"), fake.count("decr"); n != 1 || m != 1 {
		t.Errorf("sent %d times alone, %d times in a pipeline", n, m)
	}
}

// fakeNode is a Cluster of one node that closes the connection instead of answering INCR and DECR.
type fakeNode struct {
	l    net.Listener
	mu   sync.Mutex
	seen map[string]int
}

func (f *fakeNode) count(cmd string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[cmd]
}

func (f *fakeNode) serve() {
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		c, err := f.l.Accept()
		if err != nil {
			return
		}
		conns.Go(func() { f.answer(c) })
	}
}

func (f *fakeNode) answer(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	host, port, _ := net.SplitHostPort(f.l.Addr().String())
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		text := strings.ToLower(string(buf[:n]))
		for _, cmd := range []string{"incr", "decr"} {
			if strings.Contains(text, cmd) {
				f.mu.Lock()
				f.seen[cmd]++
				f.mu.Unlock()
				return
			}
		}
		reply := "+OK\r\n"
		switch {
		case strings.Contains(text, "hello"):
			reply = "*2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
		case strings.Contains(text, "slots"):
			reply = fmt.Sprintf("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$%d\r\n%s\r\n:%s\r\n", len(host), host, port)
		case strings.Contains(text, "command"):
			reply = "*0\r\n"
		}
		if _, err := io.WriteString(c, reply); err != nil {
			return
		}
	}
}
