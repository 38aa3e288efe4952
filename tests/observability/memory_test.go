package observability

import (
	"math"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Both processes set a memory limit: GOMEMLIMIT where it is set, else a share of the memory of the
// container or machine.
func TestProcessesBoundTheirMemory(t *testing.T) {
	t.Parallel()
	p := startProcesses(t)
	limit := func(url string) float64 {
		families, _ := scrape(t, url)
		return families["go_gc_gomemlimit_bytes"].GetMetric()[0].GetGauge().GetValue()
	}
	for name, url := range map[string]string{"run": p.gatewayMetrics, "dispatch": p.dispatchMetrics} {
		if got := limit(url); got <= 0 || got >= math.MaxInt64 {
			t.Errorf("%s has the limit %g", name, got)
		}
	}
	listen := harness.FreeAddr(t)
	harness.StartGateway(t, harness.GatewayOptions{
		Args: []string{"dispatch", "--listen", listen}, Env: append(p.env(), "GOMEMLIMIT=321MiB"), Ready: "http://" + listen + "/livez",
	})
	if got := limit("http://" + listen + "/metrics"); got != 321<<20 {
		t.Errorf("told to take 321 MiB, dispatch has the limit %g", got)
	}
}
