package embedded_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/embedded"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) (*embedded.Server, *store.Store, string) {
	t.Helper()
	var log bytes.Buffer
	server, err := embedded.Start("127.0.0.1:0", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	st, err := store.Open(store.Options{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return server, st, log.String()
}

func TestItIsMarkedAndSaysWhatItIs(t *testing.T) {
	server, st, log := start(t)
	if err := st.Initialized(t.Context()); err != nil {
		t.Error(err)
	}
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=WARN") || !strings.Contains(log, "memory") || !strings.Contains(log, strings.TrimPrefix(server.URL(), "redis://")) {
		t.Errorf("logged:\n%s", log)
	}
	other, err := store.Open(store.Options{URL: server.URL(), Prefix: "other:"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Initialized(t.Context()); !errors.Is(err, store.ErrNotInitialized) {
		t.Errorf("another prefix: %v", err)
	}
}

func TestDemo(t *testing.T) {
	_, st, _ := start(t)
	made, err := embedded.Demo(t.Context(), apikey.NewService(st))
	if err != nil || made.OrgID != embedded.DemoOrg || !apikey.Valid(made.Secret) {
		t.Fatalf("%+v, %v", made.Key, err)
	}
	h := st.ReadHashes(t.Context(), st.Names().Key(apikey.Hash(made.Secret)))[0]
	if k, err := apikey.FromHash(h.Fields); err != nil || !h.Initialized || k.ID != made.ID {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestTimesToLiveAreReal(t *testing.T) {
	_, st, _ := start(t)
	if err := st.Client().Set(t.Context(), "tenzo:lease", "x", 50*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 5*time.Second, func() error {
		if err := st.Client().Get(t.Context(), "tenzo:lease").Err(); !errors.Is(err, redis.Nil) {
			return errors.New("it is still there")
		}
		return nil
	})
}

func TestOnlyLoopback(t *testing.T) {
	for _, addr := range []string{"", "36379", "0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:0", "[::]:0"} {
		if s, err := embedded.Start(addr, slog.New(slog.DiscardHandler)); err == nil {
			s.Close()
			t.Errorf("%q passed", addr)
		}
	}
	taken, _, _ := start(t)
	if s, err := embedded.Start(strings.TrimPrefix(taken.URL(), "redis://"), slog.New(slog.DiscardHandler)); err == nil {
		s.Close()
		t.Error("a taken address passed")
	}
}

func TestMonitorIsContent(t *testing.T) {
	_, st, _ := start(t)
	var log bytes.Buffer
	m := store.NewMonitor(st, slog.New(slog.NewTextHandler(&log, nil)))
	run, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); m.Run(run) }()
	harness.Eventually(t, 3*time.Second, func() error { return m.State().Err })
	cancel()
	<-done
	if strings.Contains(log.String(), "WARN") || strings.Contains(log.String(), "ERROR") {
		t.Errorf("logged:\n%s", log.String())
	}
}
