package store_test

// This file opens every kind of Redis that the specification names.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func open(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	st, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
	})
	return st
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return c
}

// limited are the arguments of a server with the user that the specification says suffices, and no
// other.
func limited() []string {
	return strings.Fields("--user default off --user tenzo on >pw ~tenzo:* ~{tenzo:* +@all -@admin -@dangerous +info")
}

// exercise does what a store is for.
func exercise(t *testing.T, st *store.Store) {
	t.Helper()
	ctx := ctx(t)
	if err := st.Initialized(ctx); !errors.Is(err, store.ErrNotInitialized) {
		t.Fatalf("a new store: %v", err)
	}
	absent := st.Names().Key("absent")
	if h := st.ReadHashes(ctx, absent)[0]; h.Err != nil || h.Initialized || len(h.Fields) != 0 {
		t.Fatalf("reading without a marker: %+v", h)
	}
	if written, err := st.Initialize(ctx); err != nil || !written {
		t.Fatalf("initialize: %v, %v", written, err)
	}
	if written, err := st.Initialize(ctx); err != nil || written {
		t.Fatalf("initialize again: %v, %v", written, err)
	}
	if err := st.Initialized(ctx); err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range 50 { // over all slots
		name := st.Names().Key(fmt.Sprintf("%064d", i))
		names = append(names, name)
		if err := st.Client().HSet(ctx, name, "id", i).Err(); err != nil {
			t.Fatal(err)
		}
	}
	names = append(names, absent)
	for i, h := range st.ReadHashes(ctx, names...) {
		want := store.Hash{Fields: map[string]string{"id": fmt.Sprint(i)}, Initialized: true}
		if i == 50 {
			want.Fields = map[string]string{}
		}
		if diff := cmp.Diff(want, h); diff != "" {
			t.Fatalf("hash %d: %s", i, diff)
		}
	}
	change := &redis.XAddArgs{Stream: st.Names().Changes(), MaxLen: store.ChangesMaxLen, Approx: true, Values: []string{store.ChangeWebhook, "acme"}}
	if err := st.Client().XAdd(ctx, change).Err(); err != nil {
		t.Fatal(err)
	}
	read, err := st.BlockingClient().XRead(ctx, &redis.XReadArgs{Streams: []string{st.Names().Changes(), "0"}, Block: time.Second}).Result()
	if err != nil || len(read[0].Messages) != 1 {
		t.Fatalf("the change: %v, %v", read, err)
	}
	if err := st.Client().Set(ctx, st.Names().Schema(), "2", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if h := st.ReadHashes(ctx, absent)[0]; h.Initialized {
		t.Error("a marker of another version counted")
	}
	if _, err := st.Initialize(ctx); !errors.Is(err, store.ErrNotInitialized) {
		t.Errorf("initialize over another version: %v", err)
	}
	if len(st.ReadHashes(ctx)) != 0 {
		t.Error("reading nothing")
	}
}

func TestSingleServer(t *testing.T) {
	exercise(t, open(t, store.Options{URL: harness.StartRedis(t).URL()}))
}

func TestUnixSocket(t *testing.T) {
	exercise(t, open(t, store.Options{URL: harness.StartRedis(t).SocketURL() + "?db=3"}))
}

func TestDatabaseAndPrefix(t *testing.T) {
	r := harness.StartRedis(t)
	exercise(t, open(t, store.Options{URL: r.URL() + "/5?protocol=2", Prefix: "other:"}))
	c := r.Client(t)
	if n := c.DBSize(ctx(t)).Val(); n != 0 {
		t.Errorf("%d keys in database 0", n)
	}
	if err := c.Do(ctx(t), "select", 5).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestPrefixWithBracesIsRefused(t *testing.T) {
	if _, err := store.Open(store.Options{URL: "redis://h", Prefix: "{a}"}); err == nil {
		t.Error("it passed")
	}
}

func TestLimitedUserSuffices(t *testing.T) {
	r := harness.StartRedis(t, limited()...)
	st := open(t, store.Options{URL: r.URLAs("tenzo", "pw")})
	exercise(t, st)
	if err := st.Client().Set(ctx(t), "foreign", "1", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
		t.Errorf("the user may touch other keys: %v", err)
	}
	wrong := open(t, store.Options{URL: r.URLAs("tenzo", "wrong-SECRET")})
	if err := wrong.Initialized(ctx(t)); err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("with a wrong password: %v", err)
	}
}

func TestPasswordFromFile(t *testing.T) {
	r := harness.StartRedis(t, "--requirepass", "s#cr/et?")
	file := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(file, []byte("s#cr/et?\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	exercise(t, open(t, store.Options{URL: r.URL() + "?password_file=" + file}))
}

func TestTLSWithOwnAuthority(t *testing.T) {
	r := harness.StartRedisTLS(t)
	exercise(t, open(t, store.Options{URL: r.URL()}))

	untrusting := open(t, store.Options{URL: "rediss://" + r.Addr()})
	if err := untrusting.Initialized(ctx(t)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an authority that nobody named was trusted: %v", err)
	}
}

func TestTLSWithClientCertificate(t *testing.T) {
	r := harness.StartRedisTLS(t, "--tls-auth-clients", "optional")
	cert, key := r.CA().Files(t, harness.Leaf{Client: true})
	withCert := r.URL() + "&cert_file=" + cert + "&key_file=" + key
	first := open(t, store.Options{URL: withCert})
	exercise(t, first)
	if err := r.Client(t).ConfigSet(ctx(t), "tls-auth-clients", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	second := open(t, store.Options{URL: withCert})
	// Exercise left another version.
	if err := second.Initialized(ctx(t)); !errors.Is(err, store.ErrNotInitialized) {
		t.Errorf("with a certificate: %v", err)
	}
	without := open(t, store.Options{URL: r.URL()})
	if err := without.Initialized(ctx(t)); err == nil || errors.Is(err, store.ErrNotInitialized) {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestTLSVerifiesTheName(t *testing.T) {
	r := harness.StartRedisTLS(t)
	cert, key := r.CA().Files(t, harness.Leaf{Hosts: []string{"elsewhere.example"}})
	if err := r.Client(t).ConfigSet(ctx(t), "tls-cert-file", cert).Err(); err == nil {
		t.Fatal("redis took a certificate without its key")
	}
	c := r.Client(t)
	if err := c.Do(ctx(t), "config", "set", "tls-cert-file", cert, "tls-key-file", key).Err(); err != nil {
		t.Fatal(err)
	}
	st := open(t, store.Options{URL: r.URL()})
	if err := st.Initialized(ctx(t)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate for another host: %v", err)
	}
}

func TestSentinel(t *testing.T) {
	s := harness.StartSentinel(t)
	st := open(t, store.Options{URL: s.URL()})
	exercise(t, st)
	s.Failover()
	harness.Eventually(t, 15*time.Second, func() error {
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return st.Client().Set(short, st.Names().Schema(), store.SchemaVersion, 0).Err()
	})
	if err := st.Initialized(ctx(t)); err != nil {
		t.Error(err)
	}
}

func TestCluster(t *testing.T) {
	c := harness.StartCluster(t)
	st := open(t, store.Options{URL: c.URL()})
	if !st.Cluster() {
		t.Error("not recognized")
	}
	exercise(t, st)
	exercise(t, open(t, store.Options{URL: "redis://" + c.Nodes[1].Addr() + "?cluster=true", Prefix: "second:"}))
}
