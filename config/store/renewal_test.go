package store_test

// This file renews what a Redis URL names by its file, while a store is open.

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// hangUp ends every connection but its own, so that all of a store's are new ones.
func hangUp(t *testing.T, admins []*redis.Client) {
	t.Helper()
	for _, a := range admins {
		if err := a.ClientKillByFilter(ctx(t), "type", "normal", "skipme", "yes").Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// both uses the two clients of a store, and returns the first error. Of a Cluster every shard is
// used. That a connection was hung up shows over TLS only when it is used: then the next one is
// taken.
func both(t *testing.T, st *store.Store) error {
	t.Helper()
	for _, c := range []redis.UniversalClient{st.Client(), st.BlockingClient()} {
		for _, key := range []string{"tenzo:a", "tenzo:b", "tenzo:c", "tenzo:d", "tenzo:e", "tenzo:f"} {
			err := io.EOF
			for errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
				err = c.Set(ctx(t), key, "x", 0).Err()
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func TestARenewedPasswordHoldsFromTheNextConnectionOn(t *testing.T) {
	const first, second = "hunter-one", "hunter-two"
	renew := func(t *testing.T, url string, nodes []*harness.Redis) {
		file := filepath.Join(t.TempDir(), "password")
		write(t, file, first+"\n")
		admins := make([]*redis.Client, len(nodes))
		for i, n := range nodes {
			admins[i] = n.Client(t)
		}
		st := open(t, store.Options{URL: url + "password_file=" + file})
		if err := both(t, st); err != nil {
			t.Fatal(err)
		}
		for _, a := range admins {
			if err := a.ConfigSet(ctx(t), "requirepass", second).Err(); err != nil {
				t.Fatal(err)
			}
		}
		hangUp(t, admins)
		if err := both(t, st); err == nil || !strings.Contains(err.Error(), "WRONGPASS") {
			t.Fatalf("with the former password: %v", err)
		}
		write(t, file, second+"\n")
		if err := both(t, st); err != nil {
			t.Errorf("with the renewed password: %v", err)
		}
		hangUp(t, admins)
		write(t, file, "")
		if err := both(t, st); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("with an empty file: %v", err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := both(t, st); err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("without the file: %v", err)
		}
		write(t, file, second)
		if err := both(t, st); err != nil {
			t.Errorf("with the file again: %v", err)
		}
	}
	t.Run("single", func(t *testing.T) {
		r := harness.StartRedis(t, "--requirepass", first)
		renew(t, r.URL()+"?", []*harness.Redis{r})
	})
	t.Run("cluster", func(t *testing.T) {
		c := harness.StartCluster(t, "--requirepass", first)
		renew(t, c.URL()+"&", c.Nodes)
	})
}

func TestRenewedCertificatesHoldFromTheNextConnectionOn(t *testing.T) {
	r := harness.StartRedisTLS(t)
	admin := r.Client(t) // its one connection stands throughout
	if err := admin.ConfigSet(ctx(t), "tls-auth-clients", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ca, cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	issue := func(by *harness.CA) {
		c, k := by.Files(t, harness.Leaf{Client: true})
		for to, from := range map[string]string{ca: by.File(), cert: c, key: k} {
			content, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			write(t, to, string(content))
		}
	}
	issue(r.CA())
	st := open(t, store.Options{URL: "rediss://" + r.Addr() + "?ca_file=" + ca + "&cert_file=" + cert + "&key_file=" + key})
	if err := both(t, st); err != nil {
		t.Fatal(err)
	}

	other := harness.NewCA(t) // on both sides, so that each of the three files is another
	serverCert, serverKey := other.Files(t, harness.Leaf{})
	if err := admin.Do(ctx(t), "config", "set",
		"tls-ca-cert-file", other.File(), "tls-cert-file", serverCert, "tls-key-file", serverKey).Err(); err != nil {
		t.Fatal(err)
	}
	hangUp(t, []*redis.Client{admin})
	if err := both(t, st); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Fatalf("with the former certificates: %v", err)
	}
	issue(other)
	if err := both(t, st); err != nil {
		t.Errorf("with the renewed certificates: %v", err)
	}

	for _, file := range []string{ca, cert, key} {
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for what, content := range map[string]string{"nonsense": "hunter-three", "a cut": string(good[:len(good)/2])} {
			hangUp(t, []*redis.Client{admin})
			write(t, file, content)
			if err := both(t, st); err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "hunter") {
				t.Errorf("with %s in %s: %v", what, filepath.Base(file), err)
			}
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := both(t, st); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("without %s: %v", filepath.Base(file), err)
		}
		write(t, file, string(good))
		if err := both(t, st); err != nil {
			t.Errorf("with %s again: %v", filepath.Base(file), err)
		}
	}
}
