package keyauth

import (
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth/usage/usagetest"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/cache"
)

// warm returns an Auth on the real clock that holds n keys, and their header values.
func warm(tb testing.TB, n int) (*Auth, [][]string) {
	tb.Helper()
	f := &fixture{redis: newFakeRedis(), sink: usagetest.NewSink()}
	a := f.over(Options{}, cache.NewClock(nil))
	values := make([][]string, n)
	for i := range values {
		key := apikey.Generate(nil)
		f.redis.set(key, goodFields(fmt.Sprint("k", i)))
		values[i] = []string{"Bearer " + key}
		if v := a.Authenticate(tb.Context(), values[i], "192.0.2.1"); v.Key == nil {
			tb.Fatal(v.Refusal)
		}
	}
	return a, values
}

// BenchmarkSHA256 is the yardstick: only the hash of the key.
func BenchmarkSHA256(b *testing.B) {
	key := []byte(apikey.Generate(nil))
	for b.Loop() {
		sha256.Sum256(key)
	}
}

// BenchmarkCached is a verdict on a held key, counted and measured.
func BenchmarkCached(b *testing.B) {
	a, values := warm(b, 1)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if v := a.Authenticate(ctx, values[0], "192.0.2.1"); v.Key == nil {
			b.Fatal(v.Refusal)
		}
	}
}

// BenchmarkCachedSpread is BenchmarkCached with many keys in turn.
func BenchmarkCachedSpread(b *testing.B) {
	a, values := warm(b, 50_000)
	ctx := b.Context()
	i := 0
	for b.Loop() {
		if v := a.Authenticate(ctx, values[i%len(values)], "192.0.2.1"); v.Key == nil {
			b.Fatal(v.Refusal)
		}
		i += 7919
	}
}

func benchmarkParallel(b *testing.B, keys int) {
	a, values := warm(b, keys)
	ctx := b.Context()
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		mine := values[int(next.Add(1))%keys]
		for pb.Next() {
			if v := a.Authenticate(ctx, mine, "192.0.2.1"); v.Key == nil {
				b.Error(v.Refusal)
			}
		}
	})
}

// BenchmarkCachedOwnKey gives each goroutine a key of its own; run it with -cpu 1,2.
func BenchmarkCachedOwnKey(b *testing.B) { benchmarkParallel(b, 64) }

// BenchmarkCachedSameKey gives all goroutines the same key; run it with -cpu 1,2.
func BenchmarkCachedSameKey(b *testing.B) { benchmarkParallel(b, 1) }

// BenchmarkNegative is a verdict on a key that is remembered as unknown.
func BenchmarkNegative(b *testing.B) {
	a := newFixture(Options{})
	values := []string{apikey.Generate(nil)}
	for b.Loop() {
		if v := a.Authenticate(b.Context(), values, "192.0.2.1"); v.Key != nil {
			b.Fatal("let in")
		}
	}
}

// BenchmarkRefreshLook is the scan of a full cache in which nothing is due. Run does it every
// second.
func BenchmarkRefreshLook(b *testing.B) {
	a, _ := warm(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		a.refreshDue(b.Context())
	}
}

// BenchmarkFlushLook is the flush of as many counters of which none changed. Run does it every
// second.
func BenchmarkFlushLook(b *testing.B) {
	a, _ := warm(b, 100_000)
	a.usage.Flush(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		a.usage.Flush(b.Context())
	}
}
