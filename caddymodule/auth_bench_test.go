package caddymodule

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth"
	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/runtime"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// BenchmarkAuth measures a request with a cached key, next to what Caddy does for every request
// ("bare").
func BenchmarkAuth(b *testing.B) {
	r := harness.StartRedis(b)
	r.Mark()
	st, err := store.Open(store.Options{URL: r.URL()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	key, err := apikey.NewService(st).Create(b.Context(), "acme", apikey.Params{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	rt, release, err := runtime.Acquire(
		runtime.Target{URL: r.URL(), Prefix: store.DefaultPrefix}, &runtime.Generation{Log: slog.DiscardHandler, Keys: keyauth.Defaults()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = release()
		runtime.FinishTeardowns(context.Background())
	})
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	for _, with := range []bool{false, true} {
		name := "bare"
		if with {
			name = "tenzo_auth"
		}
		b.Run(name, func(b *testing.B) {
			a := &Auth{auth: rt.Auth(), begin: func() error { return nil }}
			w := httptest.NewRecorder()
			server := new(caddyhttp.Server)
			b.ReportAllocs()
			for b.Loop() {
				request := httptest.NewRequest(http.MethodGet, "/", nil)
				request.Header["Authorization"] = []string{"Bearer " + key.Secret}
				request = caddyhttp.PrepareRequest(request, caddy.NewReplacer(), w, server)
				var err error
				if with {
					err = a.ServeHTTP(w, request, next)
				} else {
					err = next.ServeHTTP(w, request)
				}
				if err != nil || with && request.Header.Get(headerOrgID) != "acme" {
					b.Fatal("not let in")
				}
			}
		})
	}
}
