package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/runtime"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// site returns a gateway at addr that answers word, with lines in the block tenzo.
func site(addr, word, tenzo string) string {
	return fmt.Sprintf(`{
	admin off
	tenzo {
		%s
	}
}
http://%s {
	tenzo_auth
	respond "%s"
}`, tenzo, addr, word)
}

// listenOnly starts a server in place of a Redis that must not be dialled, and counts connections.
func listenOnly(t *testing.T) (url string, dialled *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	dialled = new(atomic.Int32)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			_ = conn.Close()
		}
	}()
	return "redis://" + l.Addr().String(), dialled
}

// nothingInUse fails if a Runtime or a dispatcher is still referred to.
func nothingInUse(t *testing.T) {
	t.Helper()
	if runtimes, dispatchers := runtime.InUse(); runtimes != 0 || dispatchers != 0 {
		t.Errorf("%d runtimes and %d dispatchers are still in use", runtimes, dispatchers)
	}
}

func TestValidateDialsNothing(t *testing.T) {
	url, dialled := listenOnly(t)
	t.Setenv("TENZO_REDIS_URL", url)
	caddyfile := site("127.0.0.1:0", "x", "webhooks")
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapt(t, caddyfile), &parsed); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&parsed); err != nil {
		t.Fatal(err)
	}
	if n := dialled.Load(); n != 0 {
		t.Errorf("redis was dialled %d times", n)
	}
	runtime.FinishTeardowns(t.Context())
	nothingInUse(t)
}

// A request that arrives before the app is started begins the contact with Redis: another app may
// take seconds to start between http and tenzo.
func TestFirstRequestBegins(t *testing.T) {
	key := createKey(t, startStore(t), "acme")
	addr := harness.FreeAddr(t)
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapt(t, fmt.Sprintf("{\nadmin off\n}\nhttp://%s {\ntenzo_health\ntenzo_auth /v1\nrespond x\n}", addr)), &parsed); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&parsed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runtime.FinishTeardowns(context.Background()) })
	module, err := ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	tenzo, err := ctx.App(idApp)
	if err != nil {
		t.Fatal(err)
	}
	server := module.(*caddyhttp.App)
	if err := server.Start(); err != nil { // and not the app tenzo
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(server.Stop(), server.Cleanup(), tenzo.(*App).Cleanup()); err != nil {
			t.Error(err)
		}
	})
	c := client(t)
	if response, body := get(t, c, "http://"+addr+"/v1", key.Secret); response.StatusCode != http.StatusOK {
		t.Errorf("%s %s", response.Status, body)
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if response, body := get(t, c, "http://"+addr+"/readyz", ""); response.StatusCode != http.StatusOK {
			return errors.New(body)
		}
		return nil
	})
}

func TestProvisionRefusals(t *testing.T) {
	for _, c := range []struct{ name, tenzo, url, want string }{
		{"unset", "", "", "set the environment variable TENZO_REDIS_URL"},
		{"unset placeholder", "redis {env.TENZO_TEST_NOT_SET}", "", "{env.TENZO_TEST_NOT_SET} resolves to nothing"},
		{"missing file", "redis {file./nonexistent/url}", "", "{file./nonexistent/url} resolves to nothing"},
		{"no URL", "", "nonsense:s3cret", "redis: "},
		{"refused parameter", "", "redis://localhost?read_timeout=5s", "read_timeout"},
		{"missing CA", "", "rediss://:s3cret@localhost?ca_file=/nonexistent/ca.pem", "redis: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("TENZO_REDIS_URL", c.url)
			err := caddy.Load(adapt(t, site("127.0.0.1:0", "x", c.tenzo)), true)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want an error with %q, got %v", c.want, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the error shows the password: %v", err)
			}
			runtime.FinishTeardowns(t.Context())
			nothingInUse(t)
		})
	}
}

func TestLiteralPasswordInJSONIsRefused(t *testing.T) {
	err := caddy.Load([]byte(`{"admin":{"disabled":true},"apps":{"tenzo":{"redis":"redis://:s3cret@localhost"}}}`), true)
	if err == nil || !strings.Contains(err.Error(), "must not be in the configuration") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

func TestReloadKeepsCacheCountsAndRequests(t *testing.T) {
	r := startStore(t)
	key := createKey(t, r, "acme")
	entered, proceed := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-proceed
		_, _ = io.WriteString(w, "slow")
	}))
	t.Cleanup(slow.Close)
	addr := harness.FreeAddr(t)
	slowly := fmt.Sprintf("{\nadmin off\n}\nhttp://%s {\ntenzo_auth\nreverse_proxy /slow %s\nrespond / before\n}", addr, slow.Listener.Addr())
	load(t, slowly)
	awaitFollower(t) // its first contact makes keys that were read before be read again
	c := client(t)
	if _, body := get(t, c, "http://"+addr, key.Secret); body != "before" {
		t.Fatalf("answered %q", body)
	}
	reads := counter(t, "tenzo_auth_lookups_total", "source", "redis")
	allowed := counter(t, "tenzo_auth_requests_total", "result", "allowed")

	// Two reloads happen while a request is in flight.
	type answer struct {
		status int
		body   string
	}
	answered := make(chan answer, 1)
	go func() {
		response, body := get(t, client(t), "http://"+addr+"/slow", key.Secret)
		answered <- answer{response.StatusCode, body}
	}()
	await(t, entered)
	load(t, site(addr, "between", "keys {\ncache_size 50\n}"))
	load(t, site(addr, "after", ""))
	if response, body := get(t, client(t), "http://"+addr, key.Secret); response.StatusCode != 200 || body != "after" {
		t.Errorf("after the reloads answered %s %q", response.Status, body)
	}
	close(proceed)
	if a := await(t, answered); a.status != 200 || a.body != "slow" {
		t.Errorf("the request under way ended with %d %q", a.status, a.body)
	}

	if n := counter(t, "tenzo_auth_lookups_total", "source", "redis"); n != reads {
		t.Errorf("the key was read from redis again after a reload: %v reads, %v before", n, reads)
	}
	if n := counter(t, "tenzo_auth_requests_total", "result", "allowed"); n != allowed+2 {
		t.Errorf("the metrics count %v, want %v", n, allowed+2)
	}
	stopCaddy(t)
	usage, err := apikey.NewService(openStore(t, r.URL())).List(t.Context(), "acme", 10, "")
	if err != nil || len(usage.Items) != 1 || usage.Items[0].Count != 3 {
		t.Errorf("the store counts %+v, %v; want 3", usage.Items, err)
	}
	nothingInUse(t)
}

func TestReloadToAnotherRedis(t *testing.T) {
	first, second := harness.StartRedis(t), harness.StartRedis(t)
	first.Mark()
	second.Mark()
	here, there := createKey(t, first, "acme"), createKey(t, second, "acme")
	addr := harness.FreeAddr(t)
	t.Setenv("TENZO_REDIS_URL", first.URL())
	load(t, site(addr, "x", ""))
	if response, _ := get(t, client(t), "http://"+addr, here.Secret); response.StatusCode != 200 {
		t.Fatalf("answered %s", response.Status)
	}
	t.Setenv("TENZO_REDIS_URL", second.URL())
	load(t, site(addr, "x", ""))
	for secret, want := range map[string]int{here.Secret: 401, there.Secret: 200} {
		if response, _ := get(t, client(t), "http://"+addr, secret); response.StatusCode != want {
			t.Errorf("answered %s, want %d", response.Status, want)
		}
	}
	stopCaddy(t)
	for _, r := range []*harness.Redis{first, second} {
		page, err := apikey.NewService(openStore(t, r.URL())).List(t.Context(), "acme", 10, "")
		if err != nil || len(page.Items) != 1 || page.Items[0].Count != 1 {
			t.Errorf("the store counts %+v, %v; want 1", page.Items, err)
		}
	}
	nothingInUse(t)
}

func TestFailingReloadChangesNothing(t *testing.T) {
	r := startStore(t)
	key := createKey(t, r, "acme")
	addr := harness.FreeAddr(t)
	load(t, site(addr, "good", ""))
	get(t, client(t), "http://"+addr, key.Secret)

	url, dialled := listenOnly(t)
	t.Setenv("TENZO_REDIS_URL", url)
	// Another module fails to provision after ours.
	bad := strings.Replace(string(adapt(t, site(addr, "bad", "webhooks"))), `"static_response"`, `"no_such_handler"`, 1)
	if err := caddy.Load([]byte(bad), true); err == nil || !strings.Contains(err.Error(), "no_such_handler") {
		t.Fatalf("loading a bad configuration: %v", err)
	}
	if n := dialled.Load(); n != 0 {
		t.Errorf("a configuration that failed dialled its redis %d times", n)
	}
	// A failing configuration with the same Redis does not change the options of the running one.
	t.Setenv("TENZO_REDIS_URL", r.URL())
	bad = strings.Replace(string(adapt(t, site(addr, "bad", "keys {\nrequire_checksum\n}"))), `"static_response"`, `"no_such_handler"`, 1)
	if err := caddy.Load([]byte(bad), true); err == nil {
		t.Fatal("a bad configuration was loaded")
	}
	if _, body := get(t, client(t), "http://"+addr, "tenzo_pk_0123456789abcdef"); !strings.Contains(body, "unknown_api_key") {
		t.Errorf("the options of a failed configuration hold: %s", body)
	}
	runtime.FinishTeardowns(t.Context())
	if n, _ := runtime.InUse(); n != 1 {
		t.Errorf("%d runtimes are in use, want 1: that of the failed configuration must be gone", n)
	}
	if response, body := get(t, client(t), "http://"+addr, key.Secret); response.StatusCode != 200 || body != "good" {
		t.Errorf("answered %s %q", response.Status, body)
	}
	stopCaddy(t)
	nothingInUse(t)
}

func TestStopLeavesNothing(t *testing.T) {
	r := startStore(t)
	key := createKey(t, r, "acme")
	addr := harness.FreeAddr(t)
	cycle := func() {
		load(t, site(addr, "x", "webhooks"))
		get(t, client(t), "http://"+addr, key.Secret)
		load(t, site(addr, "y", "webhooks {\nmax_in_flight 100\n}"))
		get(t, client(t), "http://"+addr, key.Secret)
		stopCaddy(t)
	}
	cycle() // starts what Caddy starts once and keeps
	before := goleak.IgnoreCurrent()
	cycle()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
	nothingInUse(t)
	// This test's own client has one connection, and so may the one that created the key.
	admin := r.Client(t)
	harness.Eventually(t, 5*time.Second, func() error {
		list, err := admin.ClientList(t.Context()).Result()
		if err != nil {
			return err
		}
		if n := strings.Count(list, "\n"); n > 2 {
			return fmt.Errorf("redis still has %d connections:\n%s", n, list)
		}
		return nil
	})
}

func TestMetricsOfWebhooksOnlyWithTheirBlock(t *testing.T) {
	startStore(t)
	addr := harness.FreeAddr(t)
	for _, c := range []struct {
		tenzo string
		want  bool
	}{{"", false}, {"webhooks", true}, {"", false}} {
		load(t, site(addr, "x", c.tenzo))
		active := caddy.ActiveContext()
		families, err := active.GetMetricsRegistry().Gather()
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, f := range families {
			prefix, _, _ := strings.Cut(strings.TrimPrefix(f.GetName(), "tenzo_"), "_")
			names[prefix] = names[prefix] || strings.HasPrefix(f.GetName(), "tenzo_")
		}
		if !names["auth"] || !names["redis"] || names["webhook"] != c.want {
			t.Errorf("with the block %q there are metrics of %v", c.tenzo, names)
		}
	}
}
