package config_test

// This file tests the services on real servers.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/embedded"
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
	if e, ok := errors.AsType[*config.Error](err); !ok || e.Code != code {
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
			if err := try(); !errors.Is(err, config.ErrStoreNotInitialized) {
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

func TestList(t *testing.T) {
	everyKind(t, func(t *testing.T, st *store.Store) {
		keys := config.NewKeys(st)
		empty, err := keys.List(ctx(t), "acme", 0, "")
		if err != nil || len(empty.Items) != 0 || empty.NextCursor != "" {
			t.Errorf("empty: %+v, %v", empty, err)
		}
		const n = 25
		want := make([]string, n) // newest first
		var ids []string
		for i := range n {
			made, err := keys.Create(ctx(t), "acme", config.NewKey{Name: fmt.Sprint("key ", i)})
			if err != nil {
				t.Fatal(err)
			}
			// Whatever the clock says: one a minute, the last five in the same millisecond.
			score := float64(1_000_000 + min(i, 20)*60_000)
			hash := config.HashKey(made.Secret)
			if err := st.Client().ZAdd(ctx(t), st.Names().OrgKeys("acme"), redis.Z{Score: score, Member: hash}).Err(); err != nil {
				t.Fatal(err)
			}
			want[n-1-i] = made.ID
			ids = append(ids, made.ID)
		}
		// Between them: entries without a record, and another organization's key.
		foreign, err := keys.Create(ctx(t), "other", config.NewKey{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			st.Client().ZAdd(ctx(t), st.Names().OrgKeys("acme"), redis.Z{Score: 1_000_000 + float64(i)*1000, Member: fmt.Sprintf("%064x", i)})
		}
		st.Client().ZAdd(ctx(t), st.Names().OrgKeys("acme"), redis.Z{Score: 1, Member: config.HashKey(foreign.Secret)})
		if _, _, err := keys.Revoke(ctx(t), "acme", ids[3]); err != nil {
			t.Fatal(err)
		}
		st.Client().HSet(ctx(t), st.Names().Usage(ids[4]), "count", "42", "last_used_at", "2026-01-02T03:04:05Z", "private", "x")

		for _, limit := range []int{1, 7, 24, 25, 26, 1000} {
			var got []string
			pages := 0
			for cursor := ""; ; pages++ {
				page, err := keys.List(ctx(t), "acme", limit, cursor)
				if err != nil {
					t.Fatal(err)
				}
				if len(page.Items) > limit {
					t.Fatalf("%d items on a page of %d", len(page.Items), limit)
				}
				for _, item := range page.Items {
					got = append(got, item.ID)
					switch {
					case item.ID == ids[3] && item.Status != config.StatusRevoked, item.ID == ids[5] && item.Status != config.StatusActive:
						t.Errorf("%s is %s", item.Name, item.Status)
					case item.ID == ids[4] && (item.Count != 42 || item.LastUsedAt.Unix() != 1767323045):
						t.Errorf("usage %+v", item.Usage)
					}
				}
				if cursor = page.NextCursor; cursor == "" {
					break
				}
			}
			// Of the same millisecond any order will do, as long as it stays.
			if len(got) != n || !cmp.Equal(got[5:], want[5:]) || len(unique(got)) != n {
				t.Errorf("limit %d: %d items, in this order: %v", limit, len(got), got)
			}
			if most := (n-1)/limit + 1; pages+1 > most {
				t.Errorf("limit %d: %d pages, want %d", limit, pages+1, most)
			}
		}
		for _, limit := range []int{-1, 1001} {
			_, err := keys.List(ctx(t), "acme", limit, "")
			refusedWith(t, err, "invalid_limit")
		}
		for _, cursor := range []string{"x", "!", "AAAA", "MSA"} {
			_, err := keys.List(ctx(t), "acme", 0, cursor)
			refusedWith(t, err, "invalid_cursor")
		}
	})
}

func unique(s []string) map[string]bool {
	m := map[string]bool{}
	for _, v := range s {
		m[v] = true
	}
	return m
}

func TestCursorOutlivesItsItem(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	st := open(t, r.URL())
	keys := config.NewKeys(st)
	var hashes []string
	for i := range 4 {
		made, err := keys.Create(ctx(t), "acme", config.NewKey{Name: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, config.HashKey(made.Secret))
		st.Client().ZAdd(ctx(t), st.Names().OrgKeys("acme"), redis.Z{Score: float64(i), Member: hashes[i]})
	}
	page, err := keys.List(ctx(t), "acme", 2, "")
	if err != nil || page.Items[1].Name != "2" {
		t.Fatalf("%+v, %v", page, err)
	}
	st.Client().ZRem(ctx(t), st.Names().OrgKeys("acme"), hashes[2])
	made, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "newer"}) // moves every rank
	if err != nil || made.ID == "" {
		t.Fatal(err)
	}
	page, err = keys.List(ctx(t), "acme", 2, page.NextCursor)
	if err != nil || len(page.Items) != 2 || page.Items[0].Name != "1" || page.Items[1].Name != "0" || page.NextCursor != "" {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestRecordsWrittenElsewhere(t *testing.T) {
	everyKind(t, func(t *testing.T, st *store.Store) {
		keys := config.NewKeys(st)
		c, names := st.Client(), st.Names()
		put := func(n int, fields ...any) {
			hash := fmt.Sprintf("%064x", n)
			if err := c.HSet(ctx(t), names.Key(hash), fields...).Err(); err != nil {
				t.Fatal(err)
			}
			c.ZAdd(ctx(t), names.OrgKeys("acme"), redis.Z{Score: float64(n), Member: hash})
		}
		put(1, "id", "one", "org_id", "acme", "expires_at", "soon") // never passes
		put(2, "id", "no id!", "org_id", "acme")
		put(3, "id", "three", "org_id", "acme", "revoked_at", "yes")
		put(4, "id", "four", "org_id", "acme", "name", "no key-id")
		page, err := keys.List(ctx(t), "acme", 0, "")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, item := range page.Items {
			got = append(got, item.ID+" "+item.Status)
		}
		if diff := cmp.Diff([]string{"four active", "three revoked", "one expired"}, got); diff != "" {
			t.Error(diff)
		}
		if key, _, err := keys.Revoke(ctx(t), "acme", "four"); err != nil || key.RevokedAt.IsZero() {
			t.Errorf("a key without an entry by its id: %+v, %v", key, err)
		}
		if key, _, err := keys.Revoke(ctx(t), "acme", "one"); err != nil || key.RevokedAt.IsZero() {
			t.Errorf("a key with an unreadable expiry: %+v, %v", key, err)
		}
		if key, _, err := keys.Revoke(ctx(t), "acme", "three"); err != nil || !key.RevokedAt.Equal(time.Unix(0, 0)) {
			t.Errorf("a key revoked elsewhere: %+v, %v", key, err)
		}
		if v := c.HGet(ctx(t), names.Key(fmt.Sprintf("%064x", 3)), "revoked_at").Val(); v != "yes" {
			t.Errorf("its revoked_at became %q", v)
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

func TestFullRedis(t *testing.T) {
	r := harness.StartRedis(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
	r.Mark()
	st := open(t, r.URL())
	keys, hooks := config.NewKeys(st), config.NewWebhooks(st, nil)
	made, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	url := "https://example.com/"
	for _, org := range []string{"acme", "other"} {
		if _, err := hooks.Set(ctx(t), org, config.WebhookChange{URL: &url}, false); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, r.Client(t))
	if err := r.Client(t).ScriptFlush(ctx(t)).Err(); err != nil { // as after a restart: scripts are sent whole
		t.Fatal(err)
	}
	if _, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "y"}); !store.IsOOM(err) {
		t.Errorf("create: %v", err)
	}
	announced := func() int64 { return r.Client(t).XLen(ctx(t), "tenzo:changes").Val() }
	before := announced()
	if key, _, err := keys.Revoke(ctx(t), "acme", made.ID); err != nil || key.RevokedAt.IsZero() {
		t.Errorf("revoke: %+v, %v", key, err)
	}
	off := false
	if w, err := hooks.Set(ctx(t), "acme", config.WebhookChange{Active: &off}, true); err != nil || w.Active {
		t.Errorf("disable: %+v, %v", w, err)
	}
	if err := hooks.Delete(ctx(t), "other"); err != nil {
		t.Errorf("delete: %v", err)
	}
	if n := announced() - before; n != 3 {
		t.Errorf("%d of 3 announced", n)
	}
	if _, err := keys.List(ctx(t), "acme", 0, ""); err != nil {
		t.Errorf("list: %v", err)
	}
}

// fill writes until the server is full.
func fill(t *testing.T, c *redis.Client) {
	t.Helper()
	for size := 1 << 16; size > 0; size /= 8 {
		text := strings.Repeat("x", size)
		for i := 0; ; i++ {
			if err := c.Set(ctx(t), fmt.Sprint("fill:", size, ":", i), text, 0).Err(); store.IsOOM(err) {
				break
			} else if err != nil || i > 100000 {
				t.Fatalf("redis never got full: %v", err)
			}
		}
	}
}

// In a Cluster what is full may be a shard of its own.
func TestRevokeInAFullCluster(t *testing.T) {
	c := harness.StartCluster(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
	c.Mark(t)
	st := open(t, c.URL())
	keys := config.NewKeys(st)
	var made []config.CreatedKey
	for range 6 {
		k, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, k)
	}
	client := c.Client(t)
	for size := 1 << 14; size > 0; size /= 8 { // the smaller, the closer to the limit
		text := strings.Repeat("x", size)
		for round, full := 0, false; !full; round++ {
			full = true
			for i := range 60 { // over all shards
				err := client.Set(ctx(t), fmt.Sprint("fill:", size, ":", round, ":", i), text, 0).Err()
				full = full && store.IsOOM(err)
			}
			if round > 1000 {
				t.Fatal("the cluster never got full")
			}
		}
	}
	for _, k := range made {
		if key, _, err := keys.Revoke(ctx(t), "acme", k.ID); err != nil || key.RevokedAt.IsZero() {
			t.Errorf("revoke: %+v, %v", key, err)
		}
	}
	if n := client.XLen(ctx(t), "tenzo:changes").Val(); n != 12 {
		t.Errorf("%d announced", n)
	}
}

func TestWebhookLifeCycle(t *testing.T) {
	everyKind(t, func(t *testing.T, st *store.Store) {
		hooks := config.NewWebhooks(st, nil)
		if _, err := hooks.Get(ctx(t), "acme"); !errors.Is(err, config.ErrWebhookNotFound) {
			t.Errorf("get: %v", err)
		}
		url, secret, on, off, none := "https://example.com/a?token=x", "s3cret", true, false, ""
		if _, err := hooks.Set(ctx(t), "acme", config.WebhookChange{Active: &on}, true); !errors.Is(err, config.ErrWebhookNotFound) {
			t.Errorf("enable: %v", err)
		}
		if st.Client().Exists(ctx(t), st.Names().Webhook("acme")).Val() != 0 {
			t.Error("a refused change left something")
		}
		_, err := hooks.Set(ctx(t), "acme", config.WebhookChange{Active: &on}, false)
		refusedWith(t, err, "missing_url")
		announced(t, st)

		first, err := hooks.Set(ctx(t), "acme", config.WebhookChange{URL: &url, Secret: &secret}, false)
		if err != nil {
			t.Fatal(err)
		}
		want := config.Webhook{OrgID: "acme", URL: url, Secret: config.NewSecret(secret), Active: true, CreatedAt: first.CreatedAt, UpdatedAt: first.CreatedAt}
		if diff := cmp.Diff(want, first); diff != "" || first.CreatedAt.IsZero() {
			t.Errorf("set: %s", diff)
		}
		if got := announced(t, st); !cmp.Equal(got, []string{"webhook:acme"}) {
			t.Errorf("announced %v", got)
		}
		if got := st.Client().HGetAll(ctx(t), st.Names().Webhook("acme")).Val(); got["active"] != "1" || got["secret"] != secret || got["url"] != url || len(got) != 5 {
			t.Errorf("in redis: %v", got)
		}
		st.Client().HSet(ctx(t), st.Names().Webhook("acme"), "created_at", "2020-01-01T00:00:00Z", "private", "kept")

		second, err := hooks.Set(ctx(t), "acme", config.WebhookChange{Active: &off}, true)
		if err != nil || second.Active || second.URL != url || second.Secret.Reveal() != secret || second.CreatedAt.Year() != 2020 || second.UpdatedAt.Year() == 2020 {
			t.Errorf("disable: %+v, %v", second, err)
		}
		other := "https://example.org/"
		third, err := hooks.Set(ctx(t), "acme", config.WebhookChange{URL: &other}, false)
		if err != nil || third.Active || third.URL != other || third.Secret.Reveal() != secret {
			t.Errorf("another URL: %+v, %v", third, err)
		}
		fourth, err := hooks.Set(ctx(t), "acme", config.WebhookChange{Secret: &none, Active: &on}, true)
		if err != nil || !fourth.Active || fourth.Secret.IsSet() {
			t.Errorf("without a secret: %+v, %v", fourth, err)
		}
		read, err := hooks.Get(ctx(t), "acme")
		if diff := cmp.Diff(fourth, read); diff != "" || err != nil {
			t.Errorf("get: %s, %v", diff, err)
		}
		if v := st.Client().HGet(ctx(t), st.Names().Webhook("acme"), "private").Val(); v != "kept" {
			t.Error("a private field is gone")
		}
		announced(t, st)
		if err := hooks.Delete(ctx(t), "acme"); err != nil {
			t.Fatal(err)
		}
		if got := announced(t, st); !cmp.Equal(got, []string{"webhook:acme"}) {
			t.Errorf("announced %v", got)
		}
		if err := hooks.Delete(ctx(t), "acme"); !errors.Is(err, config.ErrWebhookNotFound) {
			t.Errorf("delete again: %v", err)
		}
		if got := announced(t, st); !cmp.Equal(got, []string{"webhook:acme"}) {
			t.Errorf("a deletion that was cut off is announced by the next: %v", got)
		}
		// Off from the start.
		if w, err := hooks.Set(ctx(t), "acme", config.WebhookChange{URL: &url, Active: &off}, false); err != nil || w.Active {
			t.Errorf("%+v, %v", w, err)
		}
	})
}

func TestWebhookRefusals(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	st := open(t, r.URL())
	strict := config.NewWebhooks(st, nil)
	loopback := config.NewWebhooks(st, &address.Policy{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for _, url := range []string{"", "http://example.com/", "https://127.0.0.1/", "https://u:SECRET@example.com/", "ftp://x"} {
		_, err := strict.Set(ctx(t), "acme", config.WebhookChange{URL: &url}, false)
		if e, ok := errors.AsType[*config.Error](err); !ok || e.Field != "url" || strings.Contains(e.Detail, "SECRET") {
			t.Errorf("%q: %v", url, err)
		}
	}
	secret := "whsec_cutshort"
	url := "http://127.0.0.1:1/x"
	_, err := loopback.Set(ctx(t), "acme", config.WebhookChange{URL: &url, Secret: &secret}, false)
	refusedWith(t, err, "invalid_secret")
	if _, err := loopback.Set(ctx(t), "acme", config.WebhookChange{URL: &url}, false); err != nil {
		t.Error(err)
	}
	_, err = strict.Set(ctx(t), "no id!", config.WebhookChange{URL: &url}, false)
	refusedWith(t, err, "invalid_org_id")
}

func TestWebhookFromElsewhere(t *testing.T) {
	for active, want := range map[string]bool{"1": true, "0": false, "": false, "true": false, "yes": false, " 1": false} {
		if w := config.WebhookFromHash("acme", map[string]string{"active": active, "created_at": "x"}); w.Active != want {
			t.Errorf("%q is %v", active, w.Active)
		}
	}
}
