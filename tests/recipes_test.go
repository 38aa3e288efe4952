package tests

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// The recipes of config/docs/caddyfiles.md, each on real processes. What is changed of their text
// is where things are: ports, upstreams, folders.

// recipe is a gateway with a recipe as its site, in front of two upstreams.
type recipe struct {
	*harness.Gateway
	t       *testing.T
	redis   *redis.Client
	port    int
	stable  *harness.Receiver // public-api:8000
	next    *harness.Receiver // public-api-next:8000
	visited string            // the path of requests
}

// recipeText is the Caddyfile that the test of that name is about.
func recipeText(t *testing.T, test string) string {
	t.Helper()
	for _, s := range snippets(t, "config/docs/caddyfiles.md") {
		if s.how == test {
			return s.text
		}
	}
	t.Fatalf("no recipe says that %s tests it", test)
	return ""
}

// startRecipe starts the recipe that names the test. It is either what stands in a site, or a whole
// Caddyfile. swaps are replacements in its text, in pairs.
func startRecipe(t *testing.T, env []string, swaps ...string) *recipe {
	t.Helper()
	server := harness.StartRedis(t)
	server.Mark()
	r := &recipe{
		t: t, redis: server.Client(t), port: harness.FreePort(t), visited: "/v1/jobs",
		stable: harness.NewReceiver(t, harness.ReceiverOptions{Plain: true}), next: harness.NewReceiver(t, harness.ReceiverOptions{Plain: true}),
	}
	r.start(server.URL(), env, swaps)
	return r
}

func (r *recipe) start(redisURL string, env, swaps []string) {
	r.t.Helper()
	status := harness.FreePort(r.t)
	text := strings.NewReplacer(append(swaps,
		"public-api:8000", r.stable.Addr(), "public-api-next:8000", r.next.Addr(),
		"api.example.com {", fmt.Sprintf("http://:%d {", r.port),
	)...).Replace(recipeText(r.t, r.t.Name()))
	options := "\tadmin {$TENZO_TEST_ADMIN}\n\tdefault_bind 127.0.0.1\n\tgrace_period 1s\n\tauto_https off\n"
	if strings.HasPrefix(text, "{\n") {
		text = "{\n" + options + text[2:]
	} else {
		text = fmt.Sprintf("{\n%s}\nhttp://:%d {\n\tlog\n%s}\n", options, r.port, text)
	}
	text += fmt.Sprintf("\nhttp://:%d {\n\ttenzo_health\n}\n", status)
	r.Gateway = harness.StartGateway(r.t, harness.GatewayOptions{
		Caddyfile: text, Env: append([]string{"TENZO_REDIS_URL=" + redisURL}, env...), Ready: fmt.Sprintf("http://127.0.0.1:%d/readyz", status),
	})
}

// ask sends a request. headers come in pairs; a key is sent where it is not empty.
func (r *recipe) ask(method, key string, headers ...string) answer {
	r.t.Helper()
	req := request(r.t, method, fmt.Sprintf("http://127.0.0.1:%d%s", r.port, r.visited))
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	a, err := do(plain, req)
	must(r.t, err)
	return a
}

func (r *recipe) want(a answer, status int) {
	r.t.Helper()
	if a.StatusCode != status {
		r.t.Errorf("answered %d instead of %d: %s", a.StatusCode, status, a.body)
	}
}

func TestRecipeCORS(t *testing.T) {
	t.Parallel()
	r := startRecipe(t, nil)
	r.stable.SetAnswer(harness.Always(harness.Answer{Header: map[string]string{
		"Vary": "Accept", "Access-Control-Allow-Origin": "https://upstream.example",
	}}))
	key := newKey(t, r.redis, "acme")
	const page = "https://app.example.com"

	preflight := r.ask(http.MethodOptions, "", "Origin", page, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization")
	r.want(preflight, http.StatusNoContent)
	if got := preflight.Header.Get("Access-Control-Allow-Headers"); !strings.Contains(got, "Authorization") {
		t.Errorf("the preflight allows the headers %q", got)
	}
	if n := r.stable.Count(); n != 0 {
		t.Errorf("the upstream got %d preflights", n)
	}
	admitted := r.ask(http.MethodGet, key.secret, "Origin", page)
	r.want(admitted, http.StatusOK)
	refused := r.ask(http.MethodGet, "", "Origin", page)
	r.want(refused, http.StatusUnauthorized)
	// No preflight: an ordinary request.
	r.want(r.ask(http.MethodOptions, ""), http.StatusUnauthorized)
	for what, a := range map[string]answer{"the preflight": preflight, "an admitted request": admitted, "a refused request": refused} {
		if got := a.Header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != page {
			t.Errorf("%s is answered with the allowed origins %q", what, got)
		}
		if got := strings.Join(a.Header.Values("Vary"), ","); !strings.Contains(got, "Origin") {
			t.Errorf("%s is answered with Vary: %q", what, got)
		}
	}
	if got := strings.Join(admitted.Header.Values("Vary"), ","); !strings.Contains(got, "Accept") {
		t.Errorf("what the upstream says in Vary is gone: %q", got)
	}
}

// An upstream that upgrades and sends back what it gets.
func startEcho(t *testing.T) (addr string, organizations chan string) {
	t.Helper()
	organizations = make(chan string, 10)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		organizations <- r.Header.Get("X-Tenzo-Org-Id")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.Copy(conn, buffered)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return l.Addr().String(), organizations
}

// upgrade asks for a WebSocket and returns the connection where it gets one.
func (r *recipe) upgrade(key string) (conn net.Conn, status int) {
	r.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(r.port))
	must(r.t, err)
	r.t.Cleanup(func() { _ = conn.Close() })
	must(r.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = fmt.Fprintf(conn, "GET /v1/stream HTTP/1.1\r\nHost: api.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer %s\r\n\r\n", key)
	must(r.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(r.t, err)
	return conn, resp.StatusCode
}

// echoes says whether what is sent comes back.
func echoes(conn net.Conn) error {
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	got := make([]byte, 5)
	_, err := io.ReadFull(conn, got)
	return err
}

func TestRecipeWebSocket(t *testing.T) {
	t.Parallel()
	addr, organizations := startEcho(t)
	r := startRecipe(t, nil, "public-api:8000", addr, "stream_timeout 1h", "stream_timeout 3s")
	key := newKey(t, r.redis, "acme")

	_, status := r.upgrade("tenzo_pk_unknown_unknown_unknown")
	if status != http.StatusUnauthorized {
		t.Errorf("an unknown key upgrades with %d", status)
	}
	began := time.Now()
	conn, status := r.upgrade(key.secret)
	if status != http.StatusSwitchingProtocols {
		t.Fatalf("a valid key upgrades with %d", status)
	}
	if org := <-organizations; org != "acme" {
		t.Errorf("the upstream is told the organization %q", org)
	}
	must(t, echoes(conn))
	revoke(t, r.redis, key)
	harness.Eventually(t, 10*time.Second, func() error {
		if _, status := r.upgrade(key.secret); status != http.StatusUnauthorized {
			return fmt.Errorf("a revoked key upgrades with %d", status)
		}
		return nil
	})
	if _, err := io.ReadAll(conn); err != nil { // until it is ended
		t.Error(err)
	}
	if open := time.Since(began); open < 2*time.Second || open > 15*time.Second {
		t.Errorf("with a stream_timeout of 3 s the connection was open for %s", open)
	}
}

func TestRecipeMaintenance(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	r := startRecipe(t, nil, "/etc/tenzo-gateway", folder)
	key := newKey(t, r.redis, "acme")
	r.want(r.ask(http.MethodGet, key.secret), http.StatusOK)
	mark := filepath.Join(folder, "maintenance")
	must(t, os.WriteFile(mark, nil, 0o600))
	a := r.ask(http.MethodGet, key.secret)
	r.want(a, http.StatusServiceUnavailable)
	if p := a.problem(t); p.Code != "maintenance" || a.Header.Get("Retry-After") != "600" {
		t.Errorf("answered %+v, Retry-After %q", p, a.Header.Get("Retry-After"))
	}
	must(t, os.Remove(mark))
	r.want(r.ask(http.MethodGet, key.secret), http.StatusOK)
}

func TestRecipeEnvironments(t *testing.T) {
	t.Parallel()
	server := harness.StartRedis(t)
	server.Mark()
	// Both have the same Redis here, which is the harder case.
	stage := func(prefix, name string) (*recipe, string) {
		var variables []string
		commands := []string{}
		if prefix != "" {
			variables, commands = []string{"TENZO_KEY_PREFIX=" + prefix}, []string{"--key-prefix", prefix}
		}
		r := &recipe{t: t, port: harness.FreePort(t), visited: "/", stable: harness.NewReceiver(t, harness.ReceiverOptions{Plain: true}), next: harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})}
		if res := command(t, server.URL(), append([]string{"init"}, commands...)...); res.Status != 0 {
			t.Fatalf("init: %s", res.Stderr)
		}
		k := createKey(t, server.URL(), name, commands...)
		r.start(server.URL(), append(variables, fmt.Sprintf("API_ADDRESS=http://127.0.0.1:%d", r.port), "API_UPSTREAM="+r.stable.Addr()),
			// The default stays, so that the variable counts.
			[]string{"public-api:8000}", "public-api:8000}"})
		return r, k.secret
	}
	production, good := stage("", "acme")
	staging, tried := stage("staging:", "acme")
	production.want(production.ask(http.MethodGet, good), http.StatusOK)
	staging.want(staging.ask(http.MethodGet, tried), http.StatusOK)
	production.want(production.ask(http.MethodGet, tried), http.StatusUnauthorized)
	staging.want(staging.ask(http.MethodGet, good), http.StatusUnauthorized)
	if production.stable.Count() != 1 || staging.stable.Count() != 1 {
		t.Errorf("the upstreams got %d and %d requests", production.stable.Count(), staging.stable.Count())
	}
}

func TestRecipeTracing(t *testing.T) {
	t.Parallel()
	collector := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})
	r := startRecipe(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL(), "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_BSP_SCHEDULE_DELAY=100",
	})
	key := newKey(t, r.redis, "acme")
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	r.want(r.ask(http.MethodGet, key.secret, "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01"), http.StatusOK)
	if got := r.stable.Received()[0].Header.Get("Traceparent"); !strings.HasPrefix(got, "00-"+trace+"-") || strings.Contains(got, "00f067aa0ba902b7") {
		t.Errorf("the upstream gets the traceparent %q", got)
	}
	if got := r.stable.Received()[0].Header.Get("X-Tenzo-Org-Id"); got != "acme" {
		t.Errorf("the upstream is told the organization %q", got)
	}
	r.WaitForLog(`"traceID":"`+trace+`"`, 10*time.Second)
	spans := func(path string) error {
		for _, got := range collector.Received() {
			if got.Path == "/v1/traces" && strings.Contains(string(got.Body), path) {
				return nil
			}
		}
		return errors.New("the collector has no span of it")
	}
	harness.Eventually(t, 15*time.Second, func() error { return spans("public-api") })
	before := collector.Count()
	r.want(r.ask(http.MethodGet, ""), http.StatusUnauthorized)
	collector.Wait(before+1, 15*time.Second)
}

func TestRecipeRateLimit(t *testing.T) {
	t.Parallel()
	text := recipeText(t, t.Name())
	// The limiter's place in the order is what matters. The directive request_header takes its
	// place and tells the upstream the bucket.
	_, rest, _ := strings.Cut(text, "\trate_limit {\n")
	block, _, _ := strings.Cut(rest, "\n\t}\n")
	_, bucket, _ := strings.Cut(block, "key ")
	bucket, _, _ = strings.Cut(bucket, "\n")
	if bucket != "{http.auth.user.org_id}" {
		t.Fatalf("the recipe limits by %q", bucket)
	}
	stand := []string{"\trate_limit {\n" + block + "\n\t}\n", "\trequest_header X-Bucket [" + bucket + "]\n"}
	for place, apart := range map[string]bool{"after": true, "before": false} {
		r := startRecipe(t, nil, append(stand, "order rate_limit after tenzo_auth", "order request_header "+place+" tenzo_auth")...)
		buckets := map[string]bool{}
		for _, org := range []string{"acme", "globex"} {
			r.want(r.ask(http.MethodGet, newKey(t, r.redis, org).secret), http.StatusOK)
		}
		for _, got := range r.stable.Received() {
			buckets[got.Header.Get("X-Bucket")] = true
		}
		if (len(buckets) == 2) != apart {
			t.Errorf("%s tenzo_auth, two organizations are counted in the buckets %v", place, buckets)
		}
	}
}

func TestRecipeCanaryByOrganization(t *testing.T) {
	t.Parallel()
	r := startRecipe(t, nil)
	for org, want := range map[string]*harness.Receiver{"acme": r.next, "globex": r.next, "initech": r.stable} {
		before := want.Count()
		r.want(r.ask(http.MethodGet, newKey(t, r.redis, org).secret), http.StatusOK)
		if want.Count() != before+1 {
			t.Errorf("a request of %s went to the wrong upstream", org)
		}
	}
	r.want(r.ask(http.MethodGet, ""), http.StatusUnauthorized)
	if n := r.stable.Count() + r.next.Count(); n != 3 {
		t.Errorf("the upstreams got %d requests", n)
	}
}

func TestRecipeCanaryByShare(t *testing.T) {
	t.Parallel()
	r := startRecipe(t, nil)
	key := newKey(t, r.redis, "acme")
	for range 40 {
		r.want(r.ask(http.MethodGet, key.secret), http.StatusOK)
	}
	if stable, next := r.stable.Count(), r.next.Count(); stable != 38 || next != 2 {
		t.Errorf("of 40 requests, %d went to the stable upstream and %d to the next", stable, next)
	}
}
