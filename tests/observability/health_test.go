package observability

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// health is the answer of /livez or /readyz.
type health struct {
	Status   int
	Ready    bool
	Problems map[string]string
}

func askHealth(url string) (health, error) {
	client := http.Client{Timeout: 3 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		return health{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	h := health{Status: resp.StatusCode}
	return h, json.NewDecoder(resp.Body).Decode(&h)
}

// awaitHealth waits until /readyz answers with the status and does, or does not, name problems.
// /livez must answer 200 throughout.
func awaitHealth(t *testing.T, readyz string, status int, problems bool) {
	t.Helper()
	harness.Eventually(t, 15*time.Second, func() error {
		if live, err := askHealth(strings.Replace(readyz, "/readyz", "/livez", 1)); err != nil || live.Status != http.StatusOK {
			return fmt.Errorf("/livez says %+v, %v", live, err)
		}
		h, err := askHealth(readyz)
		if err != nil {
			return err
		}
		if h.Status != status || h.Ready != (status == http.StatusOK) || (len(h.Problems) > 0) != problems {
			return fmt.Errorf("/readyz says %+v", h)
		}
		for component, text := range h.Problems {
			if text == "" {
				return fmt.Errorf("no problem is reported for %s", component)
			}
		}
		return nil
	})
}

// A process that has never reached a Redis with its marker is alive and not ready. After the first
// contact, an outage leaves it ready, and /readyz names the problem.
func TestHealthFollowsRedis(t *testing.T) {
	t.Parallel()
	p := &processes{redis: harness.StartRedis(t), receiver: harness.NewReceiver(t, harness.ReceiverOptions{})}
	p.redis.Stop()
	p.startGateway(t)
	p.startDispatch(t)
	both := []string{p.gatewayReady, p.dispatchReady}
	await := func(status int, problems bool) {
		t.Helper()
		for _, readyz := range both {
			awaitHealth(t, readyz, status, problems)
		}
	}

	await(http.StatusServiceUnavailable, true) // no Redis
	p.redis.Start()
	await(http.StatusServiceUnavailable, true) // an empty Redis
	if status := p.get(t, "tenzo_pk_0123456789abcdef0123456789"); status != http.StatusServiceUnavailable {
		t.Errorf("an empty Redis answers an unknown key with %d", status)
	}
	p.command(t, "init")
	await(http.StatusOK, false)

	p.key = p.createKey(t)
	if status := p.get(t, p.key); status != http.StatusOK {
		t.Fatalf("a valid key is answered %d", status)
	}
	p.redis.Pause()
	await(http.StatusOK, true) // an outage: ready, and the problem is named
	if status := p.get(t, p.key); status != http.StatusOK {
		t.Errorf("during the outage a cached key is answered %d", status)
	}
	p.redis.Resume()
	await(http.StatusOK, false)

	p.redis.FlushAll()
	await(http.StatusOK, true) // the marker is gone
}

// A process that is shutting down is alive and not ready, and still serves requests.
func TestHealthWhileShuttingDown(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	awaitHealth(t, p.gatewayReady, http.StatusOK, false)
	awaitHealth(t, p.dispatchReady, http.StatusOK, false)
	delayed := strings.Replace(p.caddyfile(), "grace_period 5s", "grace_period 5s\n\tshutdown_delay 3s", 1)
	if err := p.gateway.Reload(delayed); err != nil {
		t.Fatal(err)
	}
	p.gateway.Terminate()
	awaitHealth(t, p.gatewayReady, http.StatusServiceUnavailable, true)
	if status := p.get(t, p.key); status != http.StatusOK {
		t.Errorf("during shutdown the gateway answers %d", status)
	}
	if status := p.gateway.Wait(20 * time.Second); status != 0 {
		t.Errorf("the gateway ended with %d", status)
	}

	// The dispatcher waits for a receiver's answer.
	release := make(chan struct{})
	p.receiver.SetAnswer(func(*harness.Received) harness.Answer {
		<-release
		return harness.Answer{}
	})
	p.command(t, "webhook", "set", "--org", "acme", "--url", p.receiver.URL(), "--no-secret", "--allow-networks", "127.0.0.0/8", "--ca-file", p.receiver.CAFile())
	file := t.TempDir() + "/event.json"
	writeFile(t, file, `{"call_id": "call-1"}`)
	p.command(t, "events", "publish", "--org", "acme", "--event", "interview.results", "--id", "call-1", file)
	p.receiver.Wait(1, 10*time.Second)
	p.dispatch.Terminate()
	awaitHealth(t, p.dispatchReady, http.StatusServiceUnavailable, true)
	close(release)
	if status := p.dispatch.Wait(20 * time.Second); status != 0 {
		t.Errorf("the dispatcher ended with %d", status)
	}
}
