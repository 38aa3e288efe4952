package config_test

// This file tests the services on real servers.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/embedded"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func open(t *testing.T, url string) *store.Store {
	t.Helper()
	st, err := store.Open(store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	return st
}

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return c
}

// everyKind runs a test on each kind of Redis that the services behave differently on: one server with the limited user, a Cluster, and
// the embedded server. The store holds nothing but its marker.
func everyKind(t *testing.T, test func(t *testing.T, st *store.Store)) {
	t.Run("limited user", func(t *testing.T) {
		r := harness.StartRedis(t, strings.Fields("--user default off --user tenzo on >pw ~tenzo:* ~{tenzo:* +@all -@admin -@dangerous +info")...)
		st := open(t, r.URLAs("tenzo", "pw"))
		if _, err := st.Initialize(ctx(t)); err != nil {
			t.Fatal(err)
		}
		test(t, st)
	})
	t.Run("cluster", func(t *testing.T) {
		c := harness.StartCluster(t)
		c.Mark(t)
		test(t, open(t, c.URL()))
	})
	t.Run("embedded", func(t *testing.T) {
		server, err := embedded.Start("127.0.0.1:0", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		test(t, open(t, server.URL()))
	})
}

// announced returns the changes since the last call, as field:value.
func announced(t *testing.T, st *store.Store) []string {
	t.Helper()
	entries, err := st.Client().XRange(ctx(t), st.Names().Changes(), "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		for f, v := range e.Values {
			out = append(out, fmt.Sprint(f, ":", v))
		}
	}
	if err := st.Client().XTrimMaxLen(ctx(t), st.Names().Changes(), 0).Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func refusedWith(t *testing.T, err error, code string) {
	t.Helper()
	if e, ok := errors.AsType[*problem.Error](err); !ok || e.Code != code {
		t.Errorf("%v, want the refusal %s", err, code)
	}
}

func TestKeysLifeCycle(t *testing.T) {
	everyKind(t, func(t *testing.T, st *store.Store) {
		keys := config.NewKeys(st)
		expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		made, err := keys.Create(ctx(t), "acme", config.NewKey{Name: " CI ", ExpiresAt: expires})
		if err != nil {
			t.Fatal(err)
		}
		hash := config.HashKey(made.Secret)
		if made.Name != "CI" || made.OrgID != "acme" || !config.ValidID(made.ID) || !made.ExpiresAt.Equal(expires) || !config.ChecksumOK(made.Secret) {
			t.Errorf("made: %+v", made.Key)
		}
		if got := announced(t, st); !cmp.Equal(got, []string{"key:" + hash}) {
			t.Errorf("announced %v", got)
		}
		h := st.ReadHashes(ctx(t), st.Names().Key(hash))[0]
		read, err := config.KeyFromHash(h.Fields)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(made.Key, read); diff != "" {
			t.Errorf("as it stands in redis: %s", diff)
		}
		for f, v := range h.Fields {
			if strings.Contains(v, made.Secret) || strings.Contains(v, made.Secret[len(config.KeyPrefix):len(made.Secret)-4]) {
				t.Errorf("the key itself stands in %s", f)
			}
		}
		if id, err := st.Client().Get(ctx(t), st.Names().KeyByID(made.ID)).Result(); err != nil || id != hash {
			t.Errorf("by its id: %q, %v", id, err)
		}
		if score := st.Client().ZScore(ctx(t), st.Names().OrgKeys("acme"), hash).Val(); int64(score) != made.CreatedAt.UnixMilli() {
			t.Errorf("score %v", score)
		}

		before := time.Now().Add(-time.Second)
		revoked, replica, err := keys.Revoke(ctx(t), "", made.ID)
		if err != nil || replica != config.NoReplica || revoked.ID != made.ID || revoked.RevokedAt.Before(before) {
			t.Errorf("revoked: %+v, %v, %v", revoked, replica, err)
		}
		if got := announced(t, st); !cmp.Equal(got, []string{"key:" + hash}) {
			t.Errorf("announced %v", got)
		}
		again, _, err := keys.Revoke(ctx(t), "acme", made.ID)
		if err != nil || !again.RevokedAt.Equal(revoked.RevokedAt) {
			t.Errorf("revoked again: %+v, %v", again, err)
		}
		if got := announced(t, st); !cmp.Equal(got, []string{"key:" + hash}) {
			t.Errorf("announced again %v", got)
		}
		for _, id := range []string{"key_unknown", "", "no id!"} {
			if _, _, err := keys.Revoke(ctx(t), "", id); !errors.Is(err, config.ErrKeyNotFound) {
				t.Errorf("revoking %q: %v", id, err)
			}
		}
	})
}

func TestAnotherOrganizationsKeyIsUnknown(t *testing.T) {
	everyKind(t, func(t *testing.T, st *store.Store) {
		keys := config.NewKeys(st)
		made, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "CI"})
		if err != nil {
			t.Fatal(err)
		}
		announced(t, st)
		if _, _, err := keys.Revoke(ctx(t), "other", made.ID); !errors.Is(err, config.ErrKeyNotFound) {
			t.Errorf("revoked by another: %v", err)
		}
		if got := announced(t, st); len(got) != 0 {
			t.Errorf("announced %v", got)
		}
		page, err := keys.List(ctx(t), "acme", 0, "")
		if err != nil || page.Items[0].Status != config.StatusActive {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	keys := config.NewKeys(open(t, r.URL()))
	for code, try := range map[string]func() error{
		"missing_name":   func() error { _, err := keys.Create(ctx(t), "acme", config.NewKey{Name: " "}); return err },
		"invalid_name":   func() error { _, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "a\nb"}); return err },
		"invalid_org_id": func() error { _, err := keys.Create(ctx(t), "a b", config.NewKey{Name: "x"}); return err },
		"expiry_past": func() error {
			_, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "x", ExpiresAt: time.Now().Add(-1)})
			return err
		},
	} {
		refusedWith(t, try(), code)
	}
	if n := r.Client(t).DBSize(ctx(t)).Val(); n != 1 {
		t.Errorf("%d keys in redis after refusals", n)
	}
}

func TestWithoutAMarker(t *testing.T) {
	everyKind(t, func(t *testing.T, st *store.Store) {
		keys, hooks := config.NewKeys(st), config.NewWebhooks(st, nil)
		made, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "CI"})
		if err != nil {
			t.Fatal(err)
		}
		url := "https://example.com/"
		if _, err := hooks.Set(ctx(t), "acme", config.WebhookChange{URL: &url}, false); err != nil {
			t.Fatal(err)
		}
		if err := st.Client().Del(ctx(t), st.Names().Schema()).Err(); err != nil {
			t.Fatal(err)
		}
		announced(t, st)
		for name, try := range map[string]func() error{
			"create":         func() error { _, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "x"}); return err },
			"set":            func() error { _, err := hooks.Set(ctx(t), "acme", config.WebhookChange{URL: &url}, false); return err },
			"change":         func() error { _, err := hooks.Set(ctx(t), "acme", config.WebhookChange{URL: &url}, true); return err },
			"get":            func() error { _, err := hooks.Get(ctx(t), "other"); return err },
			"list":           func() error { _, err := keys.List(ctx(t), "other", 0, ""); return err },
			"revoke unknown": func() error { _, _, err := keys.Revoke(ctx(t), "", "key_x"); return err },
			"delete unknown": func() error { return hooks.Delete(ctx(t), "other") },
		} {
			if err := try(); !errors.Is(err, store.ErrNotInitialized) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if page, err := keys.List(ctx(t), "acme", 0, ""); err != nil || len(page.Items) != 1 {
			t.Errorf("what is there is listed: %+v, %v", page, err)
		}
		if _, err := hooks.Get(ctx(t), "acme"); err != nil {
			t.Errorf("what is there is found: %v", err)
		}
		if _, _, err := keys.Revoke(ctx(t), "acme", made.ID); err != nil {
			t.Errorf("revoking always works: %v", err)
		}
	})
}

func TestRevokeWaitsForAReplica(t *testing.T) {
	primary := harness.StartRedis(t)
	primary.Mark()
	keys := config.NewKeys(open(t, primary.URL()))
	revoke := func(want config.Replicated) time.Duration {
		t.Helper()
		made, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, got, err := keys.Revoke(ctx(t), "acme", made.ID)
		if err != nil || got != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
		return time.Since(start)
	}
	// Each takes less than the second that it would wait at most; on a busy machine, one of five does.
	quickly := func(want config.Replicated, atMost time.Duration) {
		t.Helper()
		var took time.Duration
		for range 5 {
			if took = revoke(want); took <= atMost {
				return
			}
		}
		t.Errorf("it waits though it need not: %v", took)
	}
	quickly(config.NoReplica, 500*time.Millisecond)
	replica := harness.StartRedis(t)
	replica.ReplicaOf(primary)
	client := primary.Client(t)
	harness.Eventually(t, 20*time.Second, func() error {
		if info := client.Info(ctx(t), "replication").Val(); !strings.Contains(info, "state=online") {
			return errors.New(info)
		}
		return nil
	})
	quickly(config.OnReplica, 900*time.Millisecond)
	replica.Pause()
	defer replica.Resume()
	if took := revoke(config.NotOnReplica); took < 900*time.Millisecond || took > 2500*time.Millisecond {
		t.Errorf("it waited %v, not a second", took)
	}
}
