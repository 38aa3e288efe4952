package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/runtime"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// There is one Caddy per process, so no test in this package is parallel.

// adapt turns a Caddyfile into JSON.
func adapt(t *testing.T, caddyfile string) []byte {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("adapting: %v", err)
	}
	return config
}

// load makes a Caddyfile the running configuration; loading again is a reload. Caddy stops with the
// test.
func load(t *testing.T, caddyfile string) {
	t.Helper()
	stopAtEnd(t)
	if err := caddy.Load(adapt(t, caddyfile), true); err != nil {
		t.Fatalf("loading: %v", err)
	}
}

var stopping sync.Map // by name of the test: whether it will stop Caddy

func stopAtEnd(t *testing.T) {
	if _, set := stopping.LoadOrStore(t.Name(), true); set {
		return
	}
	t.Cleanup(func() {
		stopping.Delete(t.Name())
		stopCaddy(t)
	})
}

// stopCaddy stops the running configuration and what former ones left behind.
func stopCaddy(t *testing.T) {
	t.Helper()
	if err := caddy.Stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	runtime.FinishTeardowns(ctx)
	if ctx.Err() != nil {
		t.Error("what former configurations used did not end in time")
	}
	runtime.CloseEmbedded(ctx)
}

// startStore starts an initialized Redis, and sets its URL in the environment like operators do.
func startStore(t *testing.T) *harness.Redis {
	t.Helper()
	r := harness.StartRedis(t)
	r.Mark()
	t.Setenv("TENZO_REDIS_URL", r.URL())
	return r
}

// openStore opens the Redis at url.
func openStore(t *testing.T, url string) *store.Store {
	t.Helper()
	st, err := store.Open(store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// createKey creates an API key of an organization.
func createKey(t *testing.T, r *harness.Redis, org string) apikey.Created {
	t.Helper()
	key, err := apikey.NewService(openStore(t, r.URL())).Create(t.Context(), org, apikey.Params{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// upstream is a server that records its requests.
type upstream struct {
	*httptest.Server
	mu       sync.Mutex
	requests []seen
}

// seen is a request as the upstream received it, with its trailers.
type seen struct {
	header, trailer http.Header
	body            string
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	u := new(upstream)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		u.mu.Lock()
		u.requests = append(u.requests, seen{r.Header.Clone(), r.Trailer.Clone(), string(body)})
		u.mu.Unlock()
		_, _ = io.WriteString(w, "from upstream")
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) addr() string { return u.Listener.Addr().String() }

// last returns the only recorded request and clears the record.
func (u *upstream) last(t *testing.T) seen {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.requests) != 1 {
		t.Fatalf("the upstream saw %d requests, want 1", len(u.requests))
	}
	r := u.requests[0]
	u.requests = nil
	return r
}

// client returns an HTTP client whose connections close with the test.
func client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// get requests a URL with a key, or without one if key is empty.
func get(t *testing.T, c *http.Client, url, key string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := c.Do(request)
	for range 3 { // a server that is replaced closes connections from which it has read nothing yet
		if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
			break
		}
		response, err = c.Do(request)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// raw sends bytes over a connection of its own and returns the answer.
func raw(t *testing.T, addr, request string) string {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatalf("reading the answer: %v after %q", err, answer)
	}
	return string(answer)
}

// lines joins an HTTP request's lines.
func lines(l ...string) string { return strings.Join(l, "\r\n") }

// port returns the port of an address.
func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

func readAll(t *testing.T, response *http.Response) string {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// counter returns the value of a counter of the running configuration with one label.
func counter(t *testing.T, name, label, value string) float64 {
	t.Helper()
	active := caddy.ActiveContext()
	families, err := active.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					return m.GetCounter().GetValue()
				}
			}
		}
	}
	t.Fatalf("there is no metric %s{%s=%q}", name, label, value)
	return 0
}

// await receives from a channel within 20 s.
func await[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(20 * time.Second):
		t.Fatal("waited for 20 s")
	}
	return v
}

// activeApp returns the app of the running configuration.
func activeApp(t *testing.T) *App {
	t.Helper()
	app, err := caddy.ActiveContext().AppIfConfigured(idApp)
	if err != nil {
		t.Fatal(err)
	}
	return app.(*App)
}

// awaitFollower waits until changes are followed, and all that were announced before this call have
// been seen: until the staleness, measured after the call, is less than the time since the call.
func awaitFollower(t *testing.T) {
	t.Helper()
	called := time.Now()
	harness.Eventually(t, 10*time.Second, func() error {
		waited := time.Since(called)
		if staleness := gauge(t, "tenzo_auth_staleness_seconds"); staleness >= waited.Seconds() {
			return fmt.Errorf("changes are not followed yet: staleness %g s after %s", staleness, waited)
		}
		return nil
	})
}

// gauge returns the value of a gauge without labels of the running configuration.
func gauge(t *testing.T, name string) float64 {
	t.Helper()
	active := caddy.ActiveContext()
	families, err := active.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no gauge %s", name)
	return 0
}

// loopback is the network that webhooks may reach in tests.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
