package tests

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// works creates, uses and revokes a key against a Redis, with the commands and through a gateway.
func works(t *testing.T, redisURL, tenzo string) *gateway {
	t.Helper()
	for range 2 { // the second time changes nothing
		if c := command(t, redisURL, "init"); c.Status != 0 {
			t.Fatalf("init: %s", c.Stderr)
		}
	}
	g := startGateway(t, site{redis: redisURL, tenzo: tenzo})
	k := createKey(t, redisURL, "acme")
	must(t, g.want(k.secret, 200))
	must(t, g.want(k.secret, 200))
	harness.Eventually(t, 10*time.Second, func() error {
		if items := list(t, redisURL, "acme"); len(items) != 1 || items[0].UsageCount != 2 {
			return fmt.Errorf("listed as %+v", items)
		}
		return nil
	})
	if c := command(t, redisURL, "keys", "revoke", k.id); c.Status != 0 {
		t.Fatalf("keys revoke: %s", c.Stderr)
	}
	harness.Eventually(t, 5*time.Second, func() error { return g.want(k.secret, 401) })
	return g
}

func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	r := harness.StartRedisTLS(t)
	works(t, r.URL(), "")
}

// Redis requires a client certificate.
func TestRedisOverMutualTLS(t *testing.T) {
	t.Parallel()
	r := harness.StartRedisTLS(t)
	must(t, r.Client(t).ConfigSet(t.Context(), "tls-auth-clients", "yes").Err())
	cert, keyFile := r.CA().Files(t, harness.Leaf{Client: true})
	wantRefusal(t, command(t, r.URL(), "keys", "list", "--org", "acme"), "")
	works(t, r.URL()+"&cert_file="+cert+"&key_file="+keyFile, "")
}

func TestRedisOverAUnixSocket(t *testing.T) {
	t.Parallel()
	works(t, harness.StartRedis(t).SocketURL(), "")
}

func TestPasswordInAFile(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t, "--requirepass", "hunter2-hunter2")
	g := works(t, r.URL()+"?password_file="+scratch(t, "password", "hunter2-hunter2\n"), "")
	if strings.Contains(g.Log().String(), "hunter2") {
		t.Error("the log shows the password")
	}
}

// The access list of the specification is sufficient.
func TestMinimalACL(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	must(t, r.Client(t).Do(t.Context(), "acl", "setuser", "gateway", "on", ">hunter2-hunter2",
		"~tenzo:*", "~{tenzo:*", "+@all", "-@admin", "-@dangerous", "+info").Err())
	g := works(t, r.URLAs("gateway", "hunter2-hunter2"), "webhooks")
	if c := command(t, r.URLAs("gateway", "hunter2-hunter2"), "events", "status"); c.Status != 0 {
		t.Errorf("events status: %s", c.Stderr)
	}
	log := g.Log().String()
	for _, bad := range []string{"NOPERM", "hunter2"} {
		if strings.Contains(log, bad) {
			t.Errorf("the log holds %q", bad)
		}
	}
}

// With another prefix, no key outside it is touched.
func TestKeyPrefix(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	if c := command(t, r.URL(), "init", "--key-prefix", "eu:"); c.Status != 0 {
		t.Fatalf("init: %s", c.Stderr)
	}
	g := startGateway(t, site{redis: r.URL(), tenzo: "key_prefix eu:\nwebhooks"})
	k := createKey(t, r.URL(), "acme", "--key-prefix", "eu:")
	must(t, g.want(k.secret, 200))
	rdb := r.Client(t)
	harness.Eventually(t, 10*time.Second, func() error { return rdb.Get(t.Context(), "eu:schema").Err() })
	keys, err := rdb.Keys(t.Context(), "*").Result()
	must(t, err)
	for _, key := range keys {
		if !strings.HasPrefix(key, "eu:") && !strings.HasPrefix(key, "{eu:") {
			t.Errorf("Redis holds %s", key)
		}
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t)
	works(t, c.URL(), "webhooks")
}

// After a failover the gateway follows the Sentinels to the new primary.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := harness.StartSentinel(t)
	g := works(t, s.URL(), "")
	k := createKey(t, s.URL(), "acme")
	must(t, g.want(k.secret, 200))
	s.Failover()
	harness.Eventually(t, 15*time.Second, func() error { return g.want(makeKey("acme").secret, 401) })
	late := newKey(t, s.Replica().Client(t), "acme")
	harness.Eventually(t, 10*time.Second, func() error { return g.want(late.secret, 200) })
	revoke(t, s.Replica().Client(t), k)
	harness.Eventually(t, 10*time.Second, func() error { return g.want(k.secret, 401) })
	harness.Eventually(t, 10*time.Second, func() error {
		n, err := count(t.Context(), s.Replica().Client(t), late)
		if err == nil && n < 1 {
			err = fmt.Errorf("its use is counted as %d", n)
		}
		return err
	})
}

// A full Redis still accepts revocations by the commands, and no count is lost.
func TestFullRedis(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t, "--maxmemory-policy", "noeviction")
	r.Mark()
	rdb := r.Client(t)
	counts := newTally(t, rdb, 3)
	doomed := createKey(t, r.URL(), "acme")
	g := startGateway(t, site{redis: r.URL()})
	must(t, g.want(doomed.secret, 200))
	must(t, counts.load(g.addr(), 30).Run(t.Context()))

	must(t, rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
	if err := rdb.Set(t.Context(), "tenzo:filler", "x", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
		t.Fatalf("a full Redis writes: %v", err)
	}
	must(t, counts.load(g.addr(), 30).Run(t.Context()))
	if c := command(t, r.URL(), "keys", "revoke", doomed.id); c.Status != 0 {
		t.Errorf("keys revoke: %s", c.Stderr)
	}
	harness.Eventually(t, 5*time.Second, func() error { return g.want(doomed.secret, 401) })
	must(t, counts.load(g.addr(), 30).Run(t.Context()))
	if n := counts.total(); n != 90 {
		t.Errorf("%d of 90 requests were answered with 200", n)
	}
	must(t, rdb.ConfigSet(t.Context(), "maxmemory", "0").Err())
	harness.Eventually(t, 10*time.Second, func() error { return counts.matches(t.Context(), rdb) })
}

// Invalid URLs are refused with the name of the option, and no error shows a password.
func TestRefusedURLs(t *testing.T) {
	t.Parallel()
	for text, names := range map[string]string{
		"redis://:hunter2@127.0.0.1:1?skip_verify=true":        "skip_verify",
		"redis://:hunter2@127.0.0.1:1?read_timeout=10s":        "read_timeout",
		"redis://:hunter2@127.0.0.1:1?max_retries=5":           "max_retries",
		"redis://:hunter2@127.0.0.1:1?addr=a:1&read_only=true": "read_only",
		"redis://:hunter2@127.0.0.1:1?colour=blue":             "not known",
		"redis://:hunter2@127.0.0.1:port":                      "",
		"http://:hunter2@127.0.0.1:1":                          "",
		"127.0.0.1:6379":                                       "",
		"rediss://:hunter2@127.0.0.1:1?ca_file=/nonexistent":   "ca_file",
		"redis://:hunter2@127.0.0.1:1":                         "", // no server listens there
	} {
		c := command(t, text, "keys", "list", "--org", "acme")
		wantRefusal(t, c, names)
		if strings.Contains(c.Stderr+c.Stdout, "hunter2") {
			t.Errorf("%q: the refusal shows the password: %s", text, c.Stderr)
		}
	}
}
