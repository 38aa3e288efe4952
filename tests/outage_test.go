package tests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// unavailable checks that a key that is not cached gets the 503 of an outage within a second.
func unavailable(t *testing.T, g *gateway) error {
	t.Helper()
	start := time.Now()
	a, err := g.get(makeKey("acme").secret)
	if err != nil {
		return err
	}
	if a.StatusCode != 503 {
		return errStatus(a)
	}
	if p := a.problem(t); p.Code != "key_store_unavailable" || a.Header.Get("Retry-After") == "" || a.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("answered %v: %s", a.Header, a.body)
	}
	// A second, with a margin for a busy machine.
	if took := time.Since(start); took > 2500*time.Millisecond {
		t.Errorf("decided after %v", took)
	}
	return nil
}

// TestRedisOutage breaks Redis in several ways. Cached keys are still admitted, others get a 503
// within a second and never a 401, and no restart is needed once Redis works again.
func TestRedisOutage(t *testing.T) {
	for name, trouble := range map[string]struct {
		begin, end func(*testing.T, *harness.Redis)
		within     time.Duration // the time until the fault is noticed
	}{
		"killed": {
			func(_ *testing.T, r *harness.Redis) { r.Kill() },
			func(_ *testing.T, r *harness.Redis) { r.Start() },
			2 * time.Second,
		},
		"paused": {
			func(_ *testing.T, r *harness.Redis) { r.Pause() },
			func(_ *testing.T, r *harness.Redis) { r.Resume() },
			2 * time.Second,
		},
		"another version of the layout": {
			func(t *testing.T, r *harness.Redis) {
				must(t, r.Client(t).Set(t.Context(), "tenzo:schema", "2", 0).Err())
			},
			func(_ *testing.T, r *harness.Redis) { r.Mark() },
			2 * time.Second,
		},
		"a replica": {
			func(t *testing.T, r *harness.Redis) { r.ReplicaOf(harness.StartRedis(t)) },
			func(t *testing.T, r *harness.Redis) {
				r.ReplicaOf(nil)
				r.Mark()
			},
			6 * time.Second,
		},
		"wrong password": {
			func(t *testing.T, r *harness.Redis) {
				must(t, r.Client(t).ConfigSet(t.Context(), "requirepass", "other").Err())
				rdb := redis.NewClient(&redis.Options{Addr: r.Addr(), Password: "other"})
				defer func() { _ = rdb.Close() }()
				must(t, rdb.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "yes").Err())
			},
			func(t *testing.T, r *harness.Redis) {
				rdb := redis.NewClient(&redis.Options{Addr: r.Addr(), Password: "other"})
				defer func() { _ = rdb.Close() }()
				must(t, rdb.ConfigSet(t.Context(), "requirepass", "").Err())
			},
			2 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := harness.StartRedis(t, harness.AOF...)
			r.Mark()
			// Before the gateway starts, which drops a key from its cache when its creation is
			// announced.
			held := newKey(t, r.Client(t), "acme")
			g := startGateway(t, site{redis: r.URL()})
			must(t, g.want(held.secret, 200))
			trouble.begin(t, r)
			harness.Eventually(t, trouble.within, func() error { return unavailable(t, g) })
			for range 8 {
				must(t, unavailable(t, g))
				start := time.Now()
				must(t, g.want(held.secret, 200))
				if took := time.Since(start); took > time.Second {
					t.Errorf("a key that is held waited %v", took)
				}
			}
			a, err := do(plain, request(t, "GET", g.statusURL()+"/readyz"))
			must(t, err)
			if a.StatusCode != 200 || !json.Valid(a.body) {
				t.Errorf("a gateway that still serves cached keys answers /readyz with %d: %s", a.StatusCode, a.body)
			}
			trouble.end(t, r)
			harness.Eventually(t, 10*time.Second, func() error { return g.want(makeKey("acme").secret, 401) })
			later := newKey(t, r.Client(t), "acme")
			harness.Eventually(t, 10*time.Second, func() error { return g.want(later.secret, 200) })
		})
	}
}

// A Redis without marker is an outage, not "all keys unknown". That another program writes a key
// into it changes nothing for other keys.
func TestRedisWithoutMarker(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	rdb := r.Client(t)
	held := newKey(t, rdb, "acme")
	g := startGateway(t, site{redis: r.URL()})
	must(t, g.want(held.secret, 200))
	r.Restart()
	rdb = r.Client(t)
	harness.Eventually(t, 5*time.Second, func() error { return unavailable(t, g) })
	made := newKey(t, rdb, "acme")
	harness.Eventually(t, 5*time.Second, func() error { return g.want(made.secret, 200) })
	must(t, unavailable(t, g))
	if up, err := metric(g.statusURL(), "tenzo_redis_up"); err != nil || up != 1 {
		t.Errorf("tenzo_redis_up is %v, %v", up, err)
	}
	harness.Eventually(t, 5*time.Second, func() error {
		if initialized, err := metric(g.statusURL(), "tenzo_redis_initialized"); err != nil || initialized != 0 {
			return fmt.Errorf("tenzo_redis_initialized is %v, %w", initialized, err)
		}
		return nil
	})
	// Commands that write are refused, and the error says what to do.
	c := command(t, r.URL(), "keys", "create", "--org", "acme", "--name", "n")
	wantRefusal(t, c, "init")
	// Revoking works without marker.
	if c := command(t, r.URL(), "keys", "revoke", made.id); c.Status != 0 {
		t.Errorf("keys revoke: %s", c.Stderr)
	}
	harness.Eventually(t, 5*time.Second, func() error { return g.want(made.secret, 401) })
	r.Mark()
	harness.Eventually(t, 5*time.Second, func() error { return g.want(makeKey("acme").secret, 401) })
}

// Many concurrent requests while Redis hangs are all answered within a second, and leave no
// goroutine or connection behind.
func TestRequestsDuringOutageLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	g := startGateway(t, site{redis: r.URL(), debugOff: true})
	must(t, g.want(makeKey("acme").secret, 401))
	before, err := metric(g.statusURL(), "go_goroutines")
	must(t, err)
	r.Pause()
	for range 3 {
		var work sync.WaitGroup
		for range 300 {
			work.Go(func() {
				start := time.Now()
				if err := g.want(makeKey("acme").secret, 503); err != nil {
					t.Error(err)
				}
				// A margin for 300 new connections on a busy machine.
				if took := time.Since(start); took > 4*time.Second {
					t.Errorf("answered after %v", took)
				}
			})
		}
		work.Wait()
	}
	r.Resume()
	harness.Eventually(t, 10*time.Second, func() error { return g.want(makeKey("acme").secret, 401) })
	plain.CloseIdleConnections()
	harness.Eventually(t, 20*time.Second, func() error {
		after, err := metric(g.statusURL(), "go_goroutines")
		if err == nil && after > before+60 {
			err = fmt.Errorf("%v goroutines, %v before", after, before)
		}
		return err
	})
}

// 200 concurrent first uses of a key cause one read of Redis.
func TestConcurrentFirstUsesReadOnce(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	// Before the gateway starts: a read that its announcement overtakes is not cached.
	k := newKey(t, r.Client(t), "acme")
	g := startGateway(t, site{redis: r.URL(), debugOff: true})
	must(t, g.want(makeKey("acme").secret, 401)) // opens the connections to Redis
	conns := make([]net.Conn, 200)
	for i := range conns {
		conn, err := net.Dial("tcp", g.addr())
		must(t, err)
		defer func() { _ = conn.Close() }()
		conns[i] = conn
	}
	const fromRedis = `tenzo_auth_lookups_total{source="redis"}`
	before, err := metric(g.statusURL(), fromRedis)
	must(t, err)
	r.Pause() // so that the requests coalesce
	for _, conn := range conns {
		_, err := conn.Write(harness.Get("gateway", "/", "Authorization: Bearer "+k.secret))
		must(t, err)
	}
	r.Resume()
	for _, conn := range conns {
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		must(t, err)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("answered %d", resp.StatusCode)
		}
	}
	after, err := metric(g.statusURL(), fromRedis)
	if err != nil || after-before != 1 {
		t.Errorf("Redis was read %v times, %v", after-before, err)
	}
}

// The embedded Redis lives as long as the process: it keeps keys and connections across reloads.
// The log says once that its data is not persistent.
func TestEmbeddedRedis(t *testing.T) {
	t.Parallel()
	addr := harness.FreeAddr(t)
	g := startGateway(t, site{redis: "embedded", env: []string{"TENZO_EMBEDDED_ADDR=" + addr}, mayShowKey: true})
	c := harness.RunGateway(t, []string{"TENZO_EMBEDDED_ADDR=" + addr}, "", "keys", "create", "--org", "acme", "--name", "n", "--json")
	var created struct{ Key string }
	if err := json.Unmarshal([]byte(c.Stdout), &created); err != nil {
		t.Fatalf("keys create: %+v", c)
	}
	must(t, g.want(created.Key, 200))
	for i := range 3 {
		s := g.site
		s.before = fmt.Sprint("header X-Generation ", i)
		must(t, g.Reload(g.caddyfile(s)))
		must(t, g.want(created.Key, 200))
	}
	fresh := harness.RunGateway(t, []string{"TENZO_EMBEDDED_ADDR=" + addr}, "", "keys", "list", "--org", "acme")
	if fresh.Status != 0 || !strings.Contains(fresh.Stdout, "active") {
		t.Errorf("after reloads the key is listed as %+v", fresh)
	}
	said := 0
	for line := range strings.Lines(g.Log().String()) {
		if strings.Contains(line, "memory") && strings.Contains(strings.ToLower(line), "redis") {
			said++
		}
	}
	if said != 1 {
		t.Errorf("%d lines of the log speak of memory:\n%s", said, g.Log().Tail(4<<10))
	}
	if status := g.stop(t); status != 0 {
		t.Errorf("the gateway ended with status %d", status)
	}
}

// A gateway that starts before its Redis is live but not ready, and becomes ready without a
// restart.
func TestStartsBeforeItsRedis(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Kill()
	g := startGateway(t, site{redis: r.URL(), unready: true})
	readyz := func(want int) error {
		a, err := do(plain, request(t, "GET", g.statusURL()+"/readyz"))
		if err != nil {
			return err
		}
		if !json.Valid(a.body) {
			t.Errorf("/readyz answers %s", a.body)
		}
		return errStatusUnless(a, want)
	}
	must(t, readyz(503))
	must(t, unavailable(t, g))
	r.Start()
	if err := harness.Poll(3*time.Second, func() error { return readyz(200) }); err == nil {
		t.Error("it is ready although its Redis has no marker")
	}
	if c := command(t, r.URL(), "init"); c.Status != 0 {
		t.Errorf("init: %s", c.Stderr)
	}
	harness.Eventually(t, 5*time.Second, func() error { return readyz(200) })
	must(t, g.want(makeKey("acme").secret, 401))
	r.Kill()
	must(t, readyz(200)) // a later outage does not change readiness
}
