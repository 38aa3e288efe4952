package caddymodule

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/runtime"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// captureStderr redirects standard error while f runs. It returns a function that reads what was
// printed there, also by goroutines that f started.
func captureStderr(t *testing.T, f func()) (printed func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stderr")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() }) // loggers use it until Caddy is stopped
	before := os.Stderr
	defer func() { os.Stderr = before }()
	os.Stderr = file
	f()
	return func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

func TestEmbeddedRedisSurvivesReloads(t *testing.T) {
	embeddedAt := harness.FreeAddr(t)
	t.Setenv("TENZO_REDIS_URL", "embedded")
	t.Setenv("TENZO_EMBEDDED_ADDR", embeddedAt)
	t.Setenv("TENZO_GATEWAY_PORT", "12345")
	addr := harness.FreeAddr(t)
	said := captureStderr(t, func() { load(t, site(addr, "x", "webhooks")) })
	curl := regexp.MustCompile(`curl -H 'Authorization: Bearer (tenzo_pk_[A-Za-z0-9_-]+)' http://localhost:12345/`)
	var key string
	harness.Eventually(t, 10*time.Second, func() error {
		found := curl.FindStringSubmatch(said())
		if found == nil {
			return fmt.Errorf("said %q", said())
		}
		key = found[1]
		return nil
	})
	awaitFollower(t)
	ask := func(when string) {
		t.Helper()
		if response, body := get(t, client(t), "http://"+addr, key); response.StatusCode != 200 {
			t.Errorf("%s: %s %q", when, response.Status, body)
		}
	}
	ask("at first")
	if said := captureStderr(t, func() { load(t, site(addr, "y", "webhooks")) }); strings.Contains(said(), "tenzo_pk_") {
		t.Error("a reload showed a key")
	}
	ask("after a reload")
	// It also survives a configuration without it.
	if err := caddy.Load([]byte(`{"admin":{"disabled":true}}`), true); err != nil {
		t.Fatal(err)
	}
	runtime.FinishTeardowns(t.Context())
	load(t, site(addr, "z", ""))
	harness.Eventually(t, 10*time.Second, func() error { return openStore(t, "redis://"+embeddedAt).Initialized(t.Context()) })
	ask("after a configuration without it")
}

func TestEmbeddedRedisThatCannotListen(t *testing.T) {
	url, _ := listenOnly(t)
	t.Setenv("TENZO_REDIS_URL", "embedded")
	t.Setenv("TENZO_EMBEDDED_ADDR", url[len("redis://"):])
	err := caddy.Load(adapt(t, site("127.0.0.1:0", "x", "")), true)
	if err == nil || !strings.Contains(err.Error(), "set TENZO_EMBEDDED_ADDR to use another address") {
		t.Errorf("got %v", err)
	}
	runtime.FinishTeardowns(t.Context())
	nothingInUse(t)
}
