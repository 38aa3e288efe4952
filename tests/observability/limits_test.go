package observability

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

// The limits in documents and alerts equal the defaults in the code.
func TestLimitsAreTheDefaults(t *testing.T) {
	d := dispatcher.Defaults()
	thousands := func(n int) string { return fmt.Sprintf("%d,%03d", n/1000, n%1000) }
	var waits []string
	for _, wait := range d.RetryBackoff {
		waits = append(waits, fmt.Sprint(int(wait.Seconds())))
	}
	last := len(waits) - 1
	backoff := strings.Join(waits[:last], ", ") + " and " + waits[last]
	want := map[string]string{
		"retry_backoff":        fmt.Sprintf("%d: at once, then %s s after each failure", len(d.RetryBackoff)+1, backoff),
		"timeout":              fmt.Sprintf("| %d s |", int(d.Timeout.Seconds())),
		"endpoint_concurrency": fmt.Sprintf("| %d |", d.EndpointConcurrency),
		"max_in_flight":        thousands(d.MaxInFlight),
		"max_in_flight_bytes":  fmt.Sprintf("%d MiB", d.MaxInFlightBytes>>20),
		"max_payload":          fmt.Sprintf("%d MiB", d.MaxPayload>>20),
		"dead_retention":       fmt.Sprintf("%d days", d.DeadRetention/(24*time.Hour)),
		"dead_limit":           map[int]string{1_000_000: "a million"}[d.DeadLimit],
	}
	for option, text := range want {
		found := false
		for line := range strings.Lines(read(t, inConfig(t, "docs", "limits.md"))) {
			found = found || text != "" && strings.Contains(line, "`"+option+"`") && strings.Contains(line, text)
		}
		if !found {
			t.Errorf("limits.md does not say that %s is %q", option, text)
		}
	}
	for _, r := range rules(t) {
		limit := map[string]int{"TenzoDispatcherSaturated": d.MaxInFlight, "TenzoWebhookDeadLettersNearLimit": d.DeadLimit}[r.Alert]
		if limit == 0 {
			continue
		}
		var threshold int
		if _, err := fmt.Sscan(r.Expr[strings.LastIndex(r.Expr, "> ")+2:], &threshold); err != nil || threshold >= limit || threshold < limit*3/4 {
			t.Errorf("%s fires beyond %d, where the limit is %d: %v", r.Alert, threshold, limit, err)
		}
	}
}
