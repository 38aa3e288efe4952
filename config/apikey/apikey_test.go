package apikey_test

// This file tests the service on real servers.

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/internal/storetest"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestKeysLifeCycle(t *testing.T) {
	storetest.OnEveryKind(t, func(t *testing.T, st *store.Store) {
		keys := apikey.NewService(st)
		expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		made, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: " CI ", ExpiresAt: expires})
		if err != nil {
			t.Fatal(err)
		}
		hash := apikey.Hash(made.Secret)
		if made.Name != "CI" || made.OrgID != "acme" || !config.ValidID(made.ID) || !made.ExpiresAt.Equal(expires) || !apikey.ChecksumOK(made.Secret) {
			t.Errorf("made: %+v", made.Key)
		}
		if got := storetest.Published(t, st); !cmp.Equal(got, []string{"key:" + hash}) {
			t.Errorf("announced %v", got)
		}
		h := st.ReadHashes(storetest.Context(t), st.Names().Key(hash))[0]
		read, err := apikey.FromHash(h.Fields)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(made.Key, read); diff != "" {
			t.Errorf("as it stands in redis: %s", diff)
		}
		for f, v := range h.Fields {
			if strings.Contains(v, made.Secret) || strings.Contains(v, made.Secret[len(apikey.Prefix):len(made.Secret)-4]) {
				t.Errorf("the key itself stands in %s", f)
			}
		}
		if id, err := st.Client().Get(storetest.Context(t), st.Names().KeyByID(made.ID)).Result(); err != nil || id != hash {
			t.Errorf("by its id: %q, %v", id, err)
		}
		if score := st.Client().ZScore(storetest.Context(t), st.Names().OrgKeys("acme"), hash).Val(); int64(score) != made.CreatedAt.UnixMilli() {
			t.Errorf("score %v", score)
		}

		before := time.Now().Add(-time.Second)
		revoked, replica, err := keys.Revoke(storetest.Context(t), "", made.ID)
		if err != nil || replica != apikey.NoReplica || revoked.ID != made.ID || revoked.RevokedAt.Before(before) {
			t.Errorf("revoked: %+v, %v, %v", revoked, replica, err)
		}
		if got := storetest.Published(t, st); !cmp.Equal(got, []string{"key:" + hash}) {
			t.Errorf("announced %v", got)
		}
		again, _, err := keys.Revoke(storetest.Context(t), "acme", made.ID)
		if err != nil || !again.RevokedAt.Equal(revoked.RevokedAt) {
			t.Errorf("revoked again: %+v, %v", again, err)
		}
		if got := storetest.Published(t, st); !cmp.Equal(got, []string{"key:" + hash}) {
			t.Errorf("announced again %v", got)
		}
		for _, id := range []string{"key_unknown", "", "no id!"} {
			if _, _, err := keys.Revoke(storetest.Context(t), "", id); !errors.Is(err, apikey.ErrNotFound) {
				t.Errorf("revoking %q: %v", id, err)
			}
		}
	})
}

func TestAnotherOrganizationsKeyIsUnknown(t *testing.T) {
	storetest.OnEveryKind(t, func(t *testing.T, st *store.Store) {
		keys := apikey.NewService(st)
		made, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "CI"})
		if err != nil {
			t.Fatal(err)
		}
		storetest.Published(t, st)
		if _, _, err := keys.Revoke(storetest.Context(t), "other", made.ID); !errors.Is(err, apikey.ErrNotFound) {
			t.Errorf("revoked by another: %v", err)
		}
		if got := storetest.Published(t, st); len(got) != 0 {
			t.Errorf("announced %v", got)
		}
		page, err := keys.List(storetest.Context(t), "acme", 0, "")
		if err != nil || page.Items[0].Status != apikey.StatusActive {
			t.Errorf("%+v, %v", page, err)
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	keys := apikey.NewService(storetest.Open(t, r.URL()))
	for code, try := range map[string]func() error{
		"missing_name": func() error {
			_, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: " "})
			return err
		},
		"invalid_name": func() error {
			_, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "a\nb"})
			return err
		},
		"invalid_org_id": func() error { _, err := keys.Create(storetest.Context(t), "a b", apikey.Params{Name: "x"}); return err },
		"expiry_past": func() error {
			_, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "x", ExpiresAt: time.Now().Add(-1)})
			return err
		},
	} {
		storetest.RefusedWith(t, try(), code)
	}
	if n := r.Client(t).DBSize(storetest.Context(t)).Val(); n != 1 {
		t.Errorf("%d keys in redis after refusals", n)
	}
}
