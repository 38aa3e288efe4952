package config_test

// This file tests how the services publish changes.

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/internal/storetest"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Whoever announces a change keeps the stream of changes near its cap, whatever others left there.
func TestEveryChangeKeepsTheStreamOfChangesAtItsCap(t *testing.T) {
	storetest.OnEveryKind(t, func(t *testing.T, st *store.Store) {
		keys, hooks, url := apikey.NewService(st), webhook.NewService(st, nil), "https://example.com/"
		var made apikey.Created
		for _, change := range []struct {
			name string
			make func() error
		}{
			{"create", func() (err error) {
				made, err = keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "x"})
				return err
			}},
			{"revoke", func() error { _, _, err := keys.Revoke(storetest.Context(t), "acme", made.ID); return err }},
			{"set", func() error {
				_, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{URL: &url}, false)
				return err
			}},
			{"delete", func() error { return hooks.Delete(storetest.Context(t), "acme") }},
		} {
			stream := st.Names().Changes()
			for length := st.Client().XLen(storetest.Context(t), stream).Val(); length < store.ChangesMaxLen+1000; length += 500 {
				pipe := st.Client().Pipeline()
				for range 500 {
					pipe.XAdd(storetest.Context(t), &redis.XAddArgs{Stream: stream, Values: []string{"webhook", "other"}})
				}
				if _, err := pipe.Exec(storetest.Context(t)); err != nil {
					t.Fatal(err)
				}
			}
			if err := change.make(); err != nil {
				t.Fatalf("%s: %v", change.name, err)
			}
			const slack = 200 // Redis trims by whole nodes of a hundred entries
			if n := st.Client().XLen(storetest.Context(t), stream).Val(); n < store.ChangesMaxLen || n > store.ChangesMaxLen+slack {
				t.Errorf("%d entries after %s", n, change.name)
			}
			if last := st.Client().XRevRangeN(storetest.Context(t), stream, "+", "-", 1).Val(); len(last) != 1 || last[0].Values["webhook"] == "other" {
				t.Errorf("%s was not announced: %v", change.name, last)
			}
		}
	})
}

// In a Cluster the announcement is a step of its own. Where it fails, what was asked for is done
// all the same, and the error says so.
func TestAChangeThatIsNotAnnouncedHolds(t *testing.T) {
	c := harness.StartCluster(t)
	c.Mark(t)
	st := storetest.Open(t, c.URL())
	keys, hooks, url := apikey.NewService(st), webhook.NewService(st, nil), "https://example.com/"
	made, err := keys.Create(storetest.Context(t), "acme", apikey.Params{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	client := st.Client()
	for _, err := range []error{ // no stream: nothing can be added to it
		client.Del(storetest.Context(t), st.Names().Changes()).Err(), client.Set(storetest.Context(t), st.Names().Changes(), "x", 0).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = keys.Revoke(storetest.Context(t), "acme", made.ID)
	storetest.RefusedWith(t, err, "change_not_announced")
	if at := client.HGet(storetest.Context(t), st.Names().Key(apikey.Hash(made.Secret)), store.KeyRevokedAt).Val(); at == "" {
		t.Error("the key is not revoked")
	}
	if !redis.HasErrorPrefix(err, "WRONGTYPE") {
		t.Errorf("%v does not say why", err)
	}
	_, err = hooks.Set(storetest.Context(t), "acme", webhook.Change{URL: &url}, false)
	storetest.RefusedWith(t, err, "change_not_announced")
	if _, err := hooks.Get(storetest.Context(t), "acme"); err != nil {
		t.Errorf("the webhook is not set: %v", err)
	}
	storetest.RefusedWith(t, hooks.Delete(storetest.Context(t), "acme"), "change_not_announced")
	if _, err := hooks.Get(storetest.Context(t), "acme"); !errors.Is(err, webhook.ErrNotFound) {
		t.Errorf("the webhook is not deleted: %v", err)
	}

	if err := client.Del(storetest.Context(t), st.Names().Changes()).Err(); err != nil {
		t.Fatal(err)
	}
	if key, _, err := keys.Revoke(storetest.Context(t), "acme", made.ID); err != nil || key.RevokedAt.IsZero() {
		t.Errorf("revoked again: %+v, %v", key, err)
	}
	if got := storetest.Published(t, st); len(got) != 1 {
		t.Errorf("announced %v", got)
	}
}
