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

// health is the answer of one of the health paths.
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

// awaitHealth waits until /readyz answers with a status, and names problems or none; /livez is 200 all the while.
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
				return fmt.Errorf("nothing is said of %s", component)
			}
		}
		return nil
	})
}

// A process that never had a Redis with its marker is alive and not ready; once it had, an outage leaves it ready, and it says what is
// wrong.
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
	await(http.StatusServiceUnavailable, true) // an empty one
	if status := p.get(t, "tenzo_pk_0123456789abcdef0123456789"); status != http.StatusServiceUnavailable {
		t.Errorf("an empty Redis answers an unknown key with %d", status)
	}
	p.command(t, "init")
	await(http.StatusOK, false)

	p.key = p.createKey(t)
	if status := p.get(t, p.key); status != http.StatusOK {
		t.Fatalf("a good key is answered %d", status)
	}
	p.redis.Pause()
	await(http.StatusOK, true) // an outage: ready, and says so
	if status := p.get(t, p.key); status != http.StatusOK {
		t.Errorf("in the outage a held key is answered %d", status)
	}
	p.redis.Resume()
	await(http.StatusOK, false)

	p.redis.FlushAll()
	await(http.StatusOK, true) // the marker is gone
}

// While it ends, a process is alive and not ready, and goes on serving.
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
		t.Errorf("while it ends the gateway answers %d", status)
	}
	if status := p.gateway.Wait(20 * time.Second); status != 0 {
		t.Errorf("the gateway ended with %d", status)
	}

	// A dispatcher that waits for an answer of a receiver.
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
