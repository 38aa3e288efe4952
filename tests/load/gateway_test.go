// Package load measures. Run its benchmarks by hand, one at a time, on an otherwise idle machine:
//
//	go test ./tests/load -run '^$' -bench Gateway
//
// Each benchmark compares short alternating runs, so that other load on the machine affects both
// sides, and reports the median of the ratios of neighbouring runs. All traffic stays on loopback,
// and every benchmark ends by itself.
package load

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// The parameters of a comparison. TENZO_LOAD_RUN sets the time of one run, such as 5s.
const (
	rounds      = 31
	connections = 16
	keys        = 50
)

func runTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("TENZO_LOAD_RUN")); err == nil {
		return d
	}
	return time.Second
}

// BenchmarkGatewayRespond compares tenzo_auth in front of `respond` with a bare `respond`.
func BenchmarkGatewayRespond(b *testing.B) {
	compare(b, "respond ok")
}

// BenchmarkGatewayReverseProxy compares tenzo_auth in front of `reverse_proxy` with a bare
// `reverse_proxy`.
func BenchmarkGatewayReverseProxy(b *testing.B) {
	upstream := harness.FreePort(b) // a process of its own
	harness.StartGateway(b, harness.GatewayOptions{
		Caddyfile: fmt.Sprintf("{\n admin {$TENZO_TEST_ADMIN}\n auto_https off\n}\nhttp://:%d {\n bind 127.0.0.1\n respond ok\n}\n", upstream),
		Ready:     fmt.Sprintf("http://127.0.0.1:%d/", upstream),
	})
	compare(b, fmt.Sprintf("reverse_proxy 127.0.0.1:%d", upstream))
}

func compare(b *testing.B, handler string) {
	bare, guarded := harness.FreePort(b), harness.FreePort(b)
	r, secrets := redisWithKeys(b, keys)
	start(b, r, fmt.Sprintf("http://:%d {\n bind 127.0.0.1\n %s\n}\nhttp://:%d {\n bind 127.0.0.1\n tenzo_auth\n %s\n}\n",
		bare, handler, guarded, handler), fmt.Sprintf("http://127.0.0.1:%d/", bare))
	requests := make([][]byte, len(secrets))
	for i, secret := range secrets {
		requests[i] = harness.Get("gateway", "/", "Authorization: Bearer "+secret)
	}
	for b.Loop() {
		rates := map[int][]float64{}
		var ratios []float64
		for round := range rounds + 1 {
			order := []int{bare, guarded}
			if round%2 == 1 {
				slices.Reverse(order)
			}
			for _, port := range order {
				rate := measure(b, fmt.Sprintf("127.0.0.1:%d", port), requests)
				if round > 0 { // the first run warms up
					rates[port] = append(rates[port], rate)
				}
			}
			if round > 0 {
				ratios = append(ratios, rates[guarded][round-1]/rates[bare][round-1])
			}
		}
		// median sorts its argument.
		without, with, ratio := median(rates[bare]), median(rates[guarded]), median(ratios)
		b.ReportMetric(without, "bare/s")
		b.ReportMetric(with, "tenzo_auth/s")
		b.ReportMetric(ratio, "ratio")
		b.Logf("%s: bare %.0f, with tenzo_auth %.0f requests/s (medians of %d runs of %v); ratio %.3f, the middle half of the ratios %.3f to %.3f",
			handler, without, with, rounds, runTime(), ratio, ratios[len(ratios)/4], ratios[len(ratios)*3/4])
	}
	b.ReportMetric(0, "ns/op") // meaningless here
}

// measure returns the number of requests per second answered with 200. Any other answer ends the
// benchmark.
func measure(b *testing.B, addr string, requests [][]byte) float64 {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), runTime())
	defer cancel()
	var ok, other atomic.Int64
	start := time.Now()
	err := harness.Load{
		Addr: addr, Connections: connections,
		Request: func(n int64) []byte { return requests[n%int64(len(requests))] },
		Answered: func(_ int64, status int, _ time.Duration) {
			if status == http.StatusOK {
				ok.Add(1)
			} else {
				other.Add(1)
			}
		},
	}.Run(ctx)
	took := time.Since(start)
	if err != nil || other.Load() > 0 {
		b.Fatalf("%d requests were not answered with 200, %v", other.Load(), err)
	}
	return float64(ok.Load()) / took.Seconds()
}

// BenchmarkGatewayRevocation measures how long a second process admits a key after its revocation
// was announced.
func BenchmarkGatewayRevocation(b *testing.B) {
	const revocations = 300
	r, secrets := redisWithKeys(b, revocations)
	rdb := r.Client(b)
	port := harness.FreePort(b)
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	start(b, r, fmt.Sprintf("http://:%d {\n bind 127.0.0.1\n tenzo_auth\n respond ok\n}\n", port), url)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	status := func(secret string) int {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for b.Loop() {
		var delays []float64
		for _, secret := range secrets {
			if got := status(secret); got != http.StatusOK {
				b.Fatalf("answered %d before the revocation", got)
			}
			hash := digest(secret)
			_, err := rdb.TxPipelined(b.Context(), func(p redis.Pipeliner) error {
				p.HSet(b.Context(), "tenzo:key:"+hash, "revoked_at", time.Now().UTC().Format(time.RFC3339))
				p.XAdd(b.Context(), &redis.XAddArgs{Stream: "tenzo:changes", MaxLen: 10000, Approx: true, Values: []string{"key", hash}})
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			announced := time.Now()
			for status(secret) == http.StatusOK {
				if time.Since(announced) > time.Minute {
					b.Fatal("still let in after a minute")
				}
			}
			delays = append(delays, float64(time.Since(announced))/float64(time.Millisecond))
		}
		slices.Sort(delays)
		b.ReportMetric(delays[len(delays)/2], "ms-median")
		b.ReportMetric(delays[len(delays)*99/100], "ms-p99")
		b.ReportMetric(delays[len(delays)-1], "ms-worst")
	}
	b.ReportMetric(0, "ns/op") // meaningless here
}

// start runs a gateway with these sites and no other options.
func start(b *testing.B, r *harness.Redis, sites, ready string) {
	b.Helper()
	harness.StartGateway(b, harness.GatewayOptions{
		Caddyfile: "{\n admin {$TENZO_TEST_ADMIN}\n auto_https off\n}\n" + sites,
		Env:       []string{"TENZO_REDIS_URL=" + r.URL()}, Ready: ready,
	})
}

// redisWithKeys returns a Redis with the marker and n keys, and the keys.
func redisWithKeys(b *testing.B, n int) (*harness.Redis, []string) {
	b.Helper()
	r := harness.StartRedis(b, harness.AOF...)
	r.Mark()
	rdb := r.Client(b)
	secrets := make([]string, n)
	for i := range secrets {
		secrets[i] = "tenzo_pk_" + rand.Text() + rand.Text()
		err := rdb.HSet(b.Context(), "tenzo:key:"+digest(secrets[i]), "id", fmt.Sprint("k", i), "org_id", "acme", "name", "load",
			"created_at", time.Now().UTC().Format(time.RFC3339)).Err()
		if err != nil {
			b.Fatal(err)
		}
	}
	return r, secrets
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
