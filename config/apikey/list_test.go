package apikey_test

// This file tests the list of keys: its pages, and records that other programs wrote.

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/internal/storetest"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestList(t *testing.T) {
	storetest.OnEveryKind(t, func(t *testing.T, st *store.Store) {
		keys := apikey.NewService(st)
		empty, err := keys.List(storetest.Context(t), "acme", 0, "")
		if err != nil || len(empty.Items) != 0 || empty.NextCursor != "" {
			t.Errorf("empty: %+v, %v", empty, err)
		}
		const n = 25
		want := make([]string, n) // newest first
		var ids []string
		for i := range n {
			made, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: fmt.Sprint("key ", i)})
			if err != nil {
				t.Fatal(err)
			}
			// Whatever the clock says: one a minute, the last five in the same millisecond.
			score := float64(1_000_000 + min(i, 20)*60_000)
			hash := apikey.Hash(made.Secret)
			if err := st.Client().ZAdd(storetest.Context(t), st.Names().OrgKeys("acme"), redis.Z{Score: score, Member: hash}).Err(); err != nil {
				t.Fatal(err)
			}
			want[n-1-i] = made.ID
			ids = append(ids, made.ID)
		}
		// Between them: entries without a record, and another organization's key.
		foreign, err := keys.Create(storetest.Context(t), "other", apikey.Params{Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			st.Client().ZAdd(storetest.Context(t), st.Names().OrgKeys("acme"), redis.Z{Score: 1_000_000 + float64(i)*1000, Member: fmt.Sprintf("%064x", i)})
		}
		st.Client().ZAdd(storetest.Context(t), st.Names().OrgKeys("acme"), redis.Z{Score: 1, Member: apikey.Hash(foreign.Secret)})
		if _, _, err := keys.Revoke(storetest.Context(t), "acme", ids[3]); err != nil {
			t.Fatal(err)
		}
		st.Client().HSet(storetest.Context(t), st.Names().Usage(ids[4]), "count", "42", "last_used_at", "2026-01-02T03:04:05Z", "private", "x")

		for _, limit := range []int{1, 7, 24, 25, 26, 1000} {
			var got []string
			pages := 0
			for cursor := ""; ; pages++ {
				page, err := keys.List(storetest.Context(t), "acme", limit, cursor)
				if err != nil {
					t.Fatal(err)
				}
				if len(page.Items) > limit {
					t.Fatalf("%d items on a page of %d", len(page.Items), limit)
				}
				for _, item := range page.Items {
					got = append(got, item.ID)
					switch {
					case item.ID == ids[3] && item.Status != apikey.StatusRevoked, item.ID == ids[5] && item.Status != apikey.StatusActive:
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
			_, err := keys.List(storetest.Context(t), "acme", limit, "")
			storetest.RefusedWith(t, err, "invalid_limit")
		}
		for _, cursor := range []string{"x", "!", "AAAA", "MSA"} {
			_, err := keys.List(storetest.Context(t), "acme", 0, cursor)
			storetest.RefusedWith(t, err, "invalid_cursor")
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
	st := storetest.Open(t, r.URL())
	keys := apikey.NewService(st)
	var hashes []string
	for i := range 4 {
		made, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, apikey.Hash(made.Secret))
		st.Client().ZAdd(storetest.Context(t), st.Names().OrgKeys("acme"), redis.Z{Score: float64(i), Member: hashes[i]})
	}
	page, err := keys.List(storetest.Context(t), "acme", 2, "")
	if err != nil || page.Items[1].Name != "2" {
		t.Fatalf("%+v, %v", page, err)
	}
	st.Client().ZRem(storetest.Context(t), st.Names().OrgKeys("acme"), hashes[2])
	// Moves every rank.
	made, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "newer"})
	if err != nil || made.ID == "" {
		t.Fatal(err)
	}
	page, err = keys.List(storetest.Context(t), "acme", 2, page.NextCursor)
	if err != nil || len(page.Items) != 2 || page.Items[0].Name != "1" || page.Items[1].Name != "0" || page.NextCursor != "" {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestRecordsWrittenElsewhere(t *testing.T) {
	storetest.OnEveryKind(t, func(t *testing.T, st *store.Store) {
		keys := apikey.NewService(st)
		c, names := st.Client(), st.Names()
		put := func(n int, fields ...any) {
			hash := fmt.Sprintf("%064x", n)
			if err := c.HSet(storetest.Context(t), names.Key(hash), fields...).Err(); err != nil {
				t.Fatal(err)
			}
			c.ZAdd(storetest.Context(t), names.OrgKeys("acme"), redis.Z{Score: float64(n), Member: hash})
		}
		put(1, "id", "one", "org_id", "acme", "expires_at", "soon") // never passes
		put(2, "id", "no id!", "org_id", "acme")
		put(3, "id", "three", "org_id", "acme", "revoked_at", "yes")
		put(4, "id", "four", "org_id", "acme", "name", "no key-id")
		page, err := keys.List(storetest.Context(t), "acme", 0, "")
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
		if key, _, err := keys.Revoke(storetest.Context(t), "acme", "four"); err != nil || key.RevokedAt.IsZero() {
			t.Errorf("a key without an entry by its id: %+v, %v", key, err)
		}
		if key, _, err := keys.Revoke(storetest.Context(t), "acme", "one"); err != nil || key.RevokedAt.IsZero() {
			t.Errorf("a key with an unreadable expiry: %+v, %v", key, err)
		}
		if key, _, err := keys.Revoke(storetest.Context(t), "acme", "three"); err != nil || !key.RevokedAt.Equal(time.Unix(0, 0)) {
			t.Errorf("a key revoked elsewhere: %+v, %v", key, err)
		}
		if v := c.HGet(storetest.Context(t), names.Key(fmt.Sprintf("%064x", 3)), "revoked_at").Val(); v != "yes" {
			t.Errorf("its revoked_at became %q", v)
		}
	})
}
