// Package storetest helps to test services on each kind of Redis.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/embedded"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Open opens the store at url until the test ends.
func Open(t *testing.T, url string) *store.Store {
	t.Helper()
	st, err := store.Open(store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

// Context returns a context that ends with the test, or after 20 s.
func Context(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return c
}

// OnEveryKind runs a test on each kind of Redis on which the services behave differently: one
// server with the limited user, a Cluster, and the embedded server. The store holds nothing but its
// marker.
func OnEveryKind(t *testing.T, test func(t *testing.T, st *store.Store)) {
	t.Run("limited user", func(t *testing.T) {
		r := harness.StartRedis(t, strings.Fields("--user default off --user tenzo on >pw ~tenzo:* ~{tenzo:* +@all -@admin -@dangerous +info")...)
		st := Open(t, r.URLAs("tenzo", "pw"))
		if _, err := st.Initialize(Context(t)); err != nil {
			t.Fatal(err)
		}
		test(t, st)
	})
	t.Run("cluster", func(t *testing.T) {
		c := harness.StartCluster(t)
		c.Mark(t)
		test(t, Open(t, c.URL()))
	})
	t.Run("embedded", func(t *testing.T) {
		server, err := embedded.Start("127.0.0.1:0", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		test(t, Open(t, server.URL()))
	})
}

// Published returns the changes published since the last call, as field:value.
func Published(t *testing.T, st *store.Store) []string {
	t.Helper()
	entries, err := st.Client().XRange(Context(t), st.Names().Changes(), "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		for f, v := range e.Values {
			out = append(out, fmt.Sprint(f, ":", v))
		}
	}
	if err := st.Client().XTrimMaxLen(Context(t), st.Names().Changes(), 0).Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// RefusedWith fails the test unless err is the refusal with that code.
func RefusedWith(t *testing.T, err error, code string) {
	t.Helper()
	if e, ok := errors.AsType[*problem.Error](err); !ok || e.Code != code {
		t.Errorf("%v, want the refusal %s", err, code)
	}
}
