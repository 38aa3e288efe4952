package tests

import (
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestStartupAdvice expects one clear warning for each setting of Redis that can lose events, and
// none for a good configuration.
func TestStartupAdvice(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	good := h.dispatch()
	h.setWebhook("acme", "")
	h.publishInterview("acme", "one")
	h.awaitDrained(10*time.Second, books{Published: 1, Delivered: 1})
	for _, word := range []string{"appendonly", "maxmemory", "group"} {
		if strings.Contains(good.Log().String(), word) {
			t.Errorf("with nothing wrong the log speaks of %s:\n%s", word, good.Log())
		}
	}

	bad := harness.StartRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	bad.Mark()
	rdb := bad.Client(t)
	must(t, rdb.XGroupCreateMkStream(t.Context(), "tenzo:events", "somebody-else", "0").Err())
	d := h.dispatchOn(bad.URL())
	for _, word := range []string{"appendonly", "allkeys-lru", "somebody-else"} {
		d.WaitForLog(word, 10*time.Second)
	}
	for _, word := range []string{"appendonly", "allkeys-lru", "somebody-else"} {
		n := 0
		for line := range strings.Lines(d.Log().String()) {
			if strings.Contains(line, word) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d lines speak of %s:\n%s", n, word, d.Log())
		}
	}
}
