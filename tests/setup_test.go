package tests

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// site holds the variable parts of a test's Caddyfile.
type site struct {
	redis      string    // TENZO_REDIS_URL
	tenzo      string    // lines of the global option tenzo
	global     string    // lines of the global options
	before     string    // lines before tenzo_auth
	auth       string    // lines of tenzo_auth
	handler    string    // after tenzo_auth; answers "ok" if empty
	open       string    // the handlers of /open, without tenzo_auth
	more       string    // further sites
	cert       *certFile // serves https if not nil
	env        []string
	unready    bool // do not wait for readiness
	mayShowKey bool // the log may show a key: the demo organization's
	debugOff   bool // no debug log, for tests with many requests
}

type certFile struct{ cert, key string }

// gateway is a running tenzo-gateway with one site behind tenzo_auth.
type gateway struct {
	*harness.Gateway
	site   site
	port   int
	status int // the port of metrics and health
}

// keyText finds a whole key in a text.
var keyText = regexp.MustCompile(`tenzo_pk_[A-Za-z0-9_-]{16,}`)

// startGateway starts a gateway that logs at the debug level. When the test ends, it fails if the
// log shows a key.
func startGateway(t *testing.T, s site) *gateway {
	t.Helper()
	g := &gateway{site: s, port: harness.FreePort(t), status: harness.FreePort(t)}
	g.start(t)
	return g
}

func (g *gateway) start(t *testing.T) {
	t.Helper()
	o := harness.GatewayOptions{Caddyfile: g.caddyfile(g.site), Env: append([]string{"TENZO_REDIS_URL=" + g.site.redis}, g.site.env...)}
	if !g.site.unready {
		o.Ready = g.statusURL() + "/readyz"
	}
	g.Gateway = harness.StartGateway(t, o)
	log := g.Log()
	t.Cleanup(func() {
		if key := keyText.FindString(log.String()); key != "" && !g.site.mayShowKey {
			t.Errorf("the log shows a key: %s", key)
		}
	})
	if g.site.unready {
		g.AwaitAnswer(g.statusURL() + "/livez")
		return
	}
	// Readiness may come a moment earlier. Keys that are read before the gateway follows changes
	// are read again.
	harness.Eventually(t, 10*time.Second, func() error {
		if !strings.Contains(log.String(), "following changes of keys and webhooks") {
			return errors.New("changes are not followed yet")
		}
		return nil
	})
}

// stop stops the gateway with SIGTERM and returns its exit status.
func (g *gateway) stop(t *testing.T) int {
	t.Helper()
	g.Terminate()
	return g.Wait(20 * time.Second)
}

func (g *gateway) caddyfile(s site) string {
	debug := "debug"
	if s.debugOff {
		debug = ""
	}
	scheme, tls, handler, open := "http", "", s.handler, ""
	if s.cert != nil {
		scheme, tls = "https", "tls "+s.cert.cert+" "+s.cert.key
	}
	if handler == "" {
		handler = "respond ok"
	}
	if s.open != "" {
		open = "handle /open {\n" + s.open + "\n}"
	}
	return fmt.Sprintf(`{
	admin {$TENZO_TEST_ADMIN}
	%s
	grace_period 5s
	auto_https off
	%s
	tenzo {
		redis {env.TENZO_REDIS_URL}
		%s
	}
}
%s://:%d {
	bind 127.0.0.1
	%s
	%s
	%s
	handle {
		tenzo_auth {
			%s
		}
		%s
	}
}
http://:%d {
	bind 127.0.0.1
	metrics /metrics
	tenzo_health
}
%s
`, debug, s.global, s.tenzo, scheme, g.port, tls, s.before, open, s.auth, handler, g.status, s.more)
}

func (g *gateway) addr() string      { return "127.0.0.1:" + strconv.Itoa(g.port) }
func (g *gateway) statusURL() string { return "http://127.0.0.1:" + strconv.Itoa(g.status) }
func (g *gateway) url() string {
	if g.site.cert != nil {
		return "https://" + g.addr()
	}
	return "http://" + g.addr()
}

// answer is a response with its whole body.
type answer struct {
	*http.Response
	body []byte
}

// problem decodes the body.
func (a answer) problem(t *testing.T) (p struct {
	Code   string
	Status int
	Title  string
	Detail string
	Field  string
},
) {
	t.Helper()
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type is %q", got)
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Errorf("%v: %s", err, a.body)
	}
	if p.Status != a.StatusCode {
		t.Errorf("the body says status %d, the answer %d", p.Status, a.StatusCode)
	}
	return p
}

// do sends a request with a client and reads the answer.
func do(client *http.Client, req *http.Request) (answer, error) {
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return answer{resp, body}, err
}

var plain = &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// get sends a GET with a key, or without one if it is empty. It sends the request again if the
// connection was closed without an answer: Go's server closes a connection that it has just
// accepted when a reload begins to stop it.
func (g *gateway) get(key string) (answer, error) {
	a, err := g.getOnce(key)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return g.getOnce(key)
	}
	return a, err
}

func (g *gateway) getOnce(key string) (answer, error) {
	req, err := http.NewRequest(http.MethodGet, g.url()+"/", nil)
	if err != nil {
		return answer{}, err
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	return do(plain, req)
}

// want sends a GET with a key and returns an error unless the answer has the status.
func (g *gateway) want(key string, status int) error {
	a, err := g.get(key)
	if err != nil {
		return err
	}
	if a.StatusCode != status {
		return fmt.Errorf("answered %d instead of %d: %s", a.StatusCode, status, a.body)
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hint returns the hint of a key: its prefix and last four characters.
func hint(secret string) string { return "tenzo_pk_..." + secret[len(secret)-4:] }

func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

// metric reads one sample of the metrics of a process. sample is the name with its labels as in the
// exposition format, such as tenzo_auth_requests_total{result="allowed"}.
func metric(statusURL, sample string) (float64, error) {
	resp, err := plain.Get(statusURL + "/metrics")
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), sample+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("no sample %s", sample)
}

// certificate issues a server certificate for loopback.
func certificate(t *testing.T, ca *harness.CA) *certFile {
	t.Helper()
	cert, key := ca.Files(t, harness.Leaf{})
	return &certFile{cert, key}
}

// scratch writes a temporary file and returns its path.
func scratch(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func errStatus(a answer) error { return fmt.Errorf("answered %d: %s", a.StatusCode, a.body) }

func errStatusUnless(a answer, status int) error {
	if a.StatusCode == status {
		return nil
	}
	return errStatus(a)
}

// command runs a command of tenzo-gateway against a Redis.
func command(t *testing.T, redisURL string, args ...string) harness.Result {
	t.Helper()
	return harness.RunGateway(t, []string{"TENZO_REDIS_URL=" + redisURL}, "", args...)
}

// wantRefusal checks that a command failed with status 1 and exactly one line on standard error
// that contains names.
func wantRefusal(t *testing.T, r harness.Result, names string) {
	t.Helper()
	line := strings.TrimSuffix(r.Stderr, "\n")
	if r.Status != 1 || line == "" || strings.Contains(line, "\n") || r.Stdout != "" || !strings.Contains(strings.ToLower(line), strings.ToLower(names)) {
		t.Errorf("want status 1 and one line that names %q; got status %d, on standard error:\n%son standard output:\n%s",
			names, r.Status, r.Stderr, r.Stdout)
	}
}

// request makes a request without a body.
func request(t *testing.T, method, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	must(t, err)
	return req
}

var errNoAccessLog = errors.New("the access log has no such line")

// listensBeyondLoopback returns the address beyond loopback on which a process listens at a TCP
// port, or "" if there is none.
func listensBeyondLoopback(t *testing.T, port string) string {
	t.Helper()
	number, err := strconv.Atoi(port)
	must(t, err)
	// The tables hold addresses as hexadecimal words in the machine's byte order.
	loopback := []string{"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		must(t, err)
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 4 || fields[3] != "0A" {
				continue
			}
			if addr, ok := strings.CutSuffix(fields[1], fmt.Sprintf(":%04X", number)); ok && !slices.Contains(loopback, addr) {
				return addr
			}
		}
	}
	return ""
}
