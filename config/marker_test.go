package config_test

// This file tests the services on a store without its marker.

import (
	"errors"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/internal/storetest"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
)

func TestWithoutAMarker(t *testing.T) {
	storetest.OnEveryKind(t, func(t *testing.T, st *store.Store) {
		keys, hooks := apikey.NewService(st), webhook.NewService(st, nil)
		made, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "CI"})
		if err != nil {
			t.Fatal(err)
		}
		url := "https://example.com/"
		if _, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{URL: &url}, false); err != nil {
			t.Fatal(err)
		}
		if err := st.Client().Del(storetest.Context(t), st.Names().Schema()).Err(); err != nil {
			t.Fatal(err)
		}
		storetest.Published(t, st)
		for name, try := range map[string]func() error{
			"create": func() error {
				_, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "x"})
				return err
			},
			"set": func() error {
				_, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{URL: &url}, false)
				return err
			},
			"change": func() error {
				_, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{URL: &url}, true)
				return err
			},
			"get":            func() error { _, err := hooks.Get(storetest.Context(t), "other"); return err },
			"list":           func() error { _, err := keys.List(storetest.Context(t), "other", 0, ""); return err },
			"revoke unknown": func() error { _, _, err := keys.Revoke(storetest.Context(t), "", "key_x"); return err },
			"delete unknown": func() error { return hooks.Delete(storetest.Context(t), "other") },
		} {
			if err := try(); !errors.Is(err, store.ErrNotInitialized) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if page, err := keys.List(storetest.Context(t), "acme", 0, ""); err != nil || len(page.Items) != 1 {
			t.Errorf("what is there is listed: %+v, %v", page, err)
		}
		if _, err := hooks.Get(storetest.Context(t), "acme"); err != nil {
			t.Errorf("what is there is found: %v", err)
		}
		if _, _, err := keys.Revoke(storetest.Context(t), "acme", made.ID); err != nil {
			t.Errorf("revoking always works: %v", err)
		}
	})
}
