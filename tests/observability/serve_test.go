package observability

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// example is a running example of config/examples. Its text is unchanged except for ports, hosts
// and certificates.
type example struct {
	*harness.Gateway
	t     *testing.T
	home  string
	ports map[string]string // free ports by the example's ports: 80, 443, 8080, 2112
	// upstream replaces every host behind the gateway; it answers 200 and names the organization.
	upstream *harness.Receiver
	key      string
}

// serve starts an example on a Redis; swaps are further replacements in its text, in pairs.
func serve(t *testing.T, name, redisURL string, swaps ...string) *example {
	t.Helper()
	e := &example{t: t, home: t.TempDir(), ports: map[string]string{}, upstream: harness.NewReceiver(t, harness.ReceiverOptions{
		Plain: true, Answer: harness.Always(harness.Answer{Header: map[string]string{"X-Org": "acme"}}),
	})}
	for _, port := range []string{"80", "443", "8080", "2112"} {
		e.ports[port] = strconv.Itoa(harness.FreePort(t))
	}
	text := strings.NewReplacer(swaps...).Replace(caddyfiles(t)[name])
	text = strings.NewReplacer("public-api:8000", e.upstream.Addr(), "reports:8000", e.upstream.Addr(), "dashboard:9000", e.upstream.Addr(),
		"localhost:8000", e.upstream.Addr(), "admin localhost:2019\n", "", ":8080", ":"+e.ports["8080"], ":2112", ":"+e.ports["2112"]).Replace(text)
	// No public certificate authority is reachable; Caddy's internal one replaces it.
	text = strings.Replace(text, "{\n", fmt.Sprintf("{\n\tadmin {$TENZO_TEST_ADMIN}\n\tlocal_certs\n\tskip_install_trust\n\thttp_port %s\n\thttps_port %s\n",
		e.ports["80"], e.ports["443"]), 1)
	env := []string{"TENZO_REDIS_URL=" + redisURL, "XDG_DATA_HOME=" + e.home}
	if r := harness.RunGateway(t, env, "", "init"); r.Status != 0 {
		t.Fatalf("init: %s", r.Stderr)
	}
	var created struct{ Key string }
	r := harness.RunGateway(t, env, "", "keys", "create", "--org", "acme", "--name", "example", "--json")
	if err := json.Unmarshal([]byte(r.Stdout), &created); err != nil {
		t.Fatalf("%v: %s", err, r.Stderr)
	}
	e.key = created.Key
	e.Gateway = harness.StartGateway(t, harness.GatewayOptions{Caddyfile: text, Env: env, Ready: "http://127.0.0.1:" + e.ports["2112"] + "/readyz"})
	return e
}

// ask sends a request to a host of the example; headers are name and value pairs.
func (e *example) ask(address string, headers ...string) (status int, body string) {
	e.t.Helper()
	where, err := url.Parse(address)
	if err != nil {
		e.t.Fatal(err)
	}
	port := e.ports["443"]
	if where.Port() != "" {
		port = e.ports[where.Port()]
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, "127.0.0.1:"+port)
		},
		TLSClientConfig: &tls.Config{RootCAs: e.authority(where.Scheme), MinVersion: tls.VersionTLS12},
	}
	defer transport.CloseIdleConnections()
	client := http.Client{Timeout: 10 * time.Second, Transport: transport}
	err = harness.Poll(10*time.Second, func() error { // certificates are issued in the background
		req, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		status, body = resp.StatusCode, string(text)
		return err
	})
	if err != nil {
		e.t.Fatalf("%s: %v", address, err)
	}
	return status, body
}

// authority returns the certificate authority that the example's Caddy created.
func (e *example) authority(scheme string) *x509.CertPool {
	pool := x509.NewCertPool()
	if scheme != "https" {
		return pool
	}
	path := filepath.Join(e.home, "caddy", "pki", "authorities", "local", "root.crt")
	harness.Eventually(e.t, 10*time.Second, func() error {
		pem, err := os.ReadFile(path)
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s holds no certificate", path)
		}
		return err
	})
	return pool
}

// guards checks that an address refuses a request without a key, and passes one with a key as the
// key's organization.
func (e *example) guards(address string) {
	e.t.Helper()
	if status, _ := e.ask(address); status != http.StatusUnauthorized {
		e.t.Errorf("%s is answered %d without a key", address, status)
	}
	before := e.upstream.Count()
	if status, body := e.ask(address, "Authorization", "Bearer "+e.key, "X-Tenzo-Org-Id", "forged"); status != http.StatusOK {
		e.t.Errorf("%s is answered %d with a key: %s", address, status, body)
	}
	got := e.upstream.Received()
	if len(got) == before {
		e.t.Errorf("%s reaches no upstream", address)
	} else if org := got[len(got)-1].Header.Get("X-Tenzo-Org-Id"); org != "acme" {
		e.t.Errorf("the upstream of %s gets the organization %q", address, org)
	}
}

func TestEdgeServes(t *testing.T) {
	t.Parallel()
	e := serve(t, "edge.Caddyfile", harness.StartRedis(t).URL())
	e.guards("https://api.example.com/v1/jobs")
	if status, _ := e.ask("https://api.example.com/v1/status", "X-Tenzo-Org-Id", "forged"); status != http.StatusOK {
		t.Errorf("the open route is answered %d", status)
	}
	got := e.upstream.Received()
	if org, ok := got[len(got)-1].Header["X-Tenzo-Org-Id"]; ok {
		t.Errorf("on the open route the upstream gets the organization %v", org)
	}
	if status, body := e.ask("https://tools.example.com/", "X-Org", "forged"); status != http.StatusOK || !strings.Contains(body, "<html") {
		t.Errorf("Developer Tools are answered %d: %.200s", status, body)
	}
	if status, body := e.ask("https://tools.example.com/api/keys"); status != http.StatusOK || !strings.Contains(body, `"example"`) {
		t.Errorf("the keys of the organization are answered %d: %.200s", status, body)
	}
	if status, _ := e.ask("http://localhost:2112/metrics"); status != http.StatusOK {
		t.Errorf("/metrics is answered %d", status)
	}
}

func TestSidecarsServe(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"sidecar.Caddyfile", "kubernetes"} {
		e := serve(t, name, harness.StartRedis(t).URL())
		e.guards("http://localhost:8080/v1/jobs")
	}
	// The Caddyfile of the compose file has no upstream.
	e := serve(t, "Caddyfile", harness.StartRedis(t).URL())
	if status, body := e.ask("http://localhost:8080/", "Authorization", "Bearer "+e.key); status != http.StatusOK || body != "organization acme" {
		t.Errorf("answered %d: %s", status, body)
	}
}

func TestSeveralSitesServe(t *testing.T) {
	t.Parallel()
	e := serve(t, "several-sites.Caddyfile", harness.StartRedis(t).URL())
	e.guards("https://api.example.com/v1/jobs")
	e.guards("https://reports.example.com/")
	got := e.upstream.Received()
	if last := got[len(got)-1].Header.Get("Authorization"); last != "Bearer "+e.key {
		t.Errorf("the upstream of forward_authorization gets %q", last)
	}
	if status, body := e.ask("https://reports.example.com/"); status != http.StatusUnauthorized || body != "401 Unauthorized" {
		t.Errorf("the site's own error page is answered %d: %s", status, body)
	}
}

// The client's address is taken from the load balancer's header, and from nobody else's.
func TestLoadBalancerIsBelieved(t *testing.T) {
	t.Parallel()
	for networks, want := range map[string]string{"10.0.0.0/16": "127.0.0.1", "127.0.0.0/8": "203.0.113.9"} {
		e := serve(t, "load-balancer.Caddyfile", harness.StartRedis(t).URL(), "10.0.0.0/16", networks, "shutdown_delay 5s", "")
		e.guards("http://localhost:8080/v1/jobs")
		e.ask("http://localhost:8080/address", "X-Forwarded-For", "203.0.113.9")
		e.WaitForLog(`"client_ip":"`+want+`"`, 5*time.Second)
	}
}

var hostOfURL = regexp.MustCompile(`[a-z0-9-]+\.internal:\d+`)

// withUser creates the examples' user in a Redis and returns the file of its password.
func withUser(t *testing.T, do func(context.Context, ...any) *redis.Cmd) string {
	t.Helper()
	if err := do(t.Context(), "ACL", "SETUSER", "tenzo", "on", ">s3cret", "~tenzo:*", "~{tenzo:*", "+@all", "-@admin", "-@dangerous", "+info").Err(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "redis-password")
	writeFile(t, path, "s3cret\n")
	return path
}

func TestExampleOfRedisOverTLSServes(t *testing.T) {
	t.Parallel()
	r := harness.StartRedisTLS(t)
	password := withUser(t, r.Client(t).Do)
	e := serve(t, "redis-tls.Caddyfile", r.URL(), "redis.internal:6380", r.Addr(),
		"/etc/tenzo-gateway/redis-ca.pem", r.CA().File(), "/etc/tenzo-gateway/redis-password", password)
	e.guards("http://localhost:8080/")
	if strings.Contains(e.Log().String(), "s3cret") {
		t.Error("the log shows the password")
	}
}

func TestExampleOfSentinelServes(t *testing.T) {
	t.Parallel()
	s := harness.StartSentinel(t)
	password := withUser(t, s.Primary().Client(t).Do)
	swaps := []string{"master_name=tenzo", "master_name=main", "/etc/tenzo-gateway/redis-password", password}
	e := serve(t, "redis-sentinel.Caddyfile", s.URL(), append(swaps, swapHosts(t, "redis-sentinel.Caddyfile", s.URL())...)...)
	e.guards("http://localhost:8080/")
}

func TestExampleOfClusterServes(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t)
	var password string
	for _, node := range c.Nodes {
		password = withUser(t, node.Client(t).Do)
	}
	swaps := []string{"/etc/tenzo-gateway/redis-password", password}
	e := serve(t, "redis-cluster.Caddyfile", c.URL(), append(swaps, swapHosts(t, "redis-cluster.Caddyfile", c.URL())...)...)
	e.guards("http://localhost:8080/")
}

// swapHosts pairs the hosts in an example with those of a URL.
func swapHosts(t *testing.T, name, redisURL string) []string {
	t.Helper()
	u, err := url.Parse(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	hosts := append([]string{u.Host}, u.Query()["addr"]...)
	var swaps []string
	for i, host := range hostOfURL.FindAllString(caddyfiles(t)[name], -1) {
		swaps = append(swaps, host, hosts[i%len(hosts)])
	}
	return swaps
}
