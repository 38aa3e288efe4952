package observability

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// logged counts a log's lines at level warn and above by message, except those that Caddy's HTTP
// app writes for each site at start.
func logged(log string) map[string]int {
	counts := map[string]int{}
	for line := range strings.Lines(log) {
		var l struct{ Level, Logger, Msg string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Logger != "http" && (strings.EqualFold(l.Level, "warn") || strings.EqualFold(l.Level, "error")) {
			counts[l.Msg]++
		}
	}
	return counts
}

// An outage writes one line when it begins and one when it ends, whatever the number of requests
// and events during it. No line shows a secret.
func TestLogsSayStateChangesOnce(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	awaitHealth(t, p.gatewayReady, http.StatusOK, false)
	awaitHealth(t, p.dispatchReady, http.StatusOK, false)
	unheld := p.createKey(t)
	const secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	s := scenario{p: p, rdb: p.redis.Client(t)}
	s.do(t, "HSET", "tenzo:webhook:acme", "url", p.receiver.URL()+"/token-in-the-path", "secret", secret, "active", "1")
	p.receiver.SetAnswer(harness.Always(harness.Answer{Status: http.StatusInternalServerError}))
	s.do(t, "XADD", "tenzo:events", "*", "event", "interview.results", "org_id", "acme", "id", "call-1", "payload", `{"call_id":"call-1"}`)
	p.receiver.Wait(2, 10*time.Second)

	p.redis.Stop()
	awaitHealth(t, p.gatewayReady, http.StatusOK, true)
	awaitHealth(t, p.dispatchReady, http.StatusOK, true)
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); {
		if status := p.get(t, unheld); status != http.StatusServiceUnavailable {
			t.Fatalf("during the outage a key that is not cached is answered %d", status)
		}
	}
	p.redis.Start() // empty: another state
	for _, process := range []*harness.Gateway{p.gateway, p.dispatch} {
		harness.Eventually(t, 10*time.Second, func() error {
			if !strings.Contains(process.Log().String(), "the schema marker is missing") {
				return fmt.Errorf("the log does not say that the marker is missing")
			}
			return nil
		})
	}
	p.redis.Mark()
	awaitHealth(t, p.gatewayReady, http.StatusOK, false)
	awaitHealth(t, p.dispatchReady, http.StatusOK, false)

	for name, process := range map[string]*harness.Gateway{"gateway": p.gateway, "dispatch": p.dispatch} {
		log := process.Log().String()
		for message, n := range logged(log) {
			if n > 3 {
				t.Errorf("the %s logged %d times: %s", name, n, message)
			}
		}
		for _, change := range []string{"redis gives no answer", "redis answers"} {
			if !strings.Contains(log, change) {
				t.Errorf("the %s did not log %q", name, change)
			}
		}
		for _, hidden := range []string{p.key, unheld, secret, strings.TrimPrefix(secret, "whsec_"), "token-in-the-path"} {
			if strings.Contains(log, hidden) {
				t.Errorf("the log of the %s shows %q", name, hidden)
			}
		}
		if key := regexp.MustCompile(`tenzo_pk_[A-Za-z0-9_-]{16,}`).FindString(log); key != "" {
			t.Errorf("the log of the %s shows the key %s", name, key)
		}
	}
}
