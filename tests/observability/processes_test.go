package observability

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// passedEvent is an undocumented event type that the tested processes deliver (pass_event).
const passedEvent = "candidate.hired"

// processes holds a Redis, a gateway that also delivers webhooks, a companion dispatcher and a
// receiver.
type processes struct {
	redis                           *harness.Redis
	gateway, dispatch               *harness.Gateway
	receiver                        *harness.Receiver
	site                            string // the gateway's URL
	lostSite                        string // URL of the site whose upstream is unreachable
	key                             string
	gatewayMetrics, dispatchMetrics string
	gatewayReady, dispatchReady     string
	listen                          string // the companion's address
	ports                           struct{ site, lostSite, status, upstream int }
}

// startProcesses starts all of them on an initialized Redis with one key of the organization acme.
func startProcesses(t *testing.T) *processes {
	t.Helper()
	p := &processes{redis: harness.StartRedis(t), receiver: harness.NewReceiver(t, harness.ReceiverOptions{})}
	p.command(t, "init")
	p.key = p.createKey(t)
	p.startGateway(t)
	p.startDispatch(t)
	return p
}

func (p *processes) env() []string { return []string{"TENZO_REDIS_URL=" + p.redis.URL()} }

// command runs a tenzo-gateway command against the Redis and returns its standard output.
func (p *processes) command(t *testing.T, args ...string) string {
	t.Helper()
	r := harness.RunGateway(t, p.env(), "", args...)
	if r.Status != 0 {
		t.Fatalf("%v ends with %d: %s", args, r.Status, r.Stderr)
	}
	return r.Stdout
}

func (p *processes) createKey(t *testing.T, args ...string) string {
	t.Helper()
	var created struct{ Key string }
	out := p.command(t, append([]string{"keys", "create", "--org", "acme", "--name", "test", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &created); err != nil {
		t.Fatal(err)
	}
	return created.Key
}

// startGateway starts the gateway with the shipped Caddyfile's set-up on free ports.
func (p *processes) startGateway(t *testing.T) {
	t.Helper()
	p.ports.site, p.ports.status, p.ports.upstream = harness.FreePort(t), harness.FreePort(t), harness.FreePort(t)
	p.ports.lostSite = harness.FreePort(t)
	status := "http://127.0.0.1:" + strconv.Itoa(p.ports.status)
	p.site = "http://127.0.0.1:" + strconv.Itoa(p.ports.site)
	p.lostSite = "http://127.0.0.1:" + strconv.Itoa(p.ports.lostSite)
	p.gatewayMetrics, p.gatewayReady = status+"/metrics", status+"/readyz"
	p.gateway = harness.StartGateway(t, harness.GatewayOptions{Caddyfile: p.caddyfile(), Env: p.env(), Ready: status + "/livez"})
}

func (p *processes) caddyfile() string {
	return fmt.Sprintf(`{
	admin {$TENZO_TEST_ADMIN}
	grace_period 5s
	metrics
	tenzo {
		webhooks {
			pass_event %s
			allow_networks 127.0.0.0/8
			ca_file %s
			timeout 5s
			grace_period 10s
		}
	}
}
http://127.0.0.1:%d {
	bind 127.0.0.1
	tenzo_auth
	reverse_proxy 127.0.0.1:%d
}
http://:%d {
	bind 127.0.0.1
	tenzo_auth
	reverse_proxy 127.0.0.1:1
}
http://:%d {
	bind 127.0.0.1
	respond upstream
}
http://:%d {
	bind 127.0.0.1
	metrics /metrics
	tenzo_health
}
`, passedEvent, p.receiver.CAFile(), p.ports.site, p.ports.upstream, p.ports.lostSite, p.ports.upstream, p.ports.status)
}

// startDispatch starts the companion.
func (p *processes) startDispatch(t *testing.T) {
	t.Helper()
	p.listen = harness.FreeAddr(t)
	p.restartDispatch(t)
}

// restartDispatch starts a new companion after the previous one ended.
func (p *processes) restartDispatch(t *testing.T) {
	t.Helper()
	listen := p.listen
	p.dispatchMetrics, p.dispatchReady = "http://"+listen+"/metrics", "http://"+listen+"/readyz"
	p.dispatch = harness.StartGateway(t, harness.GatewayOptions{
		Args: []string{
			"dispatch", "--listen", listen, "--pass-event", passedEvent, "--allow-networks", "127.0.0.0/8",
			"--ca-file", p.receiver.CAFile(), "--timeout", "5s", "--grace-period", "10s",
		},
		Env:   p.env(),
		Ready: "http://" + listen + "/livez",
	})
}

// sha256Hex returns the digest under which Redis stores a key.
func sha256Hex(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// get sends a request, with the key where it is not empty, and returns the status.
func (p *processes) get(t *testing.T, key string) int {
	t.Helper()
	return p.getFrom(t, p.site, key)
}

func (p *processes) getFrom(t *testing.T, site, key string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
