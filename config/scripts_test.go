package config_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Whoever announces a change keeps the stream of changes near its cap, whatever others left there.
func TestEveryChangeKeepsTheStreamOfChangesAtItsCap(t *testing.T) {
	everyKind(t, func(t *testing.T, st *store.Store) {
		keys, hooks, url := config.NewKeys(st), config.NewWebhooks(st, nil), "https://example.com/"
		var made config.CreatedKey
		for _, change := range []struct {
			name string
			make func() error
		}{
			{"create", func() (err error) {
				made, err = keys.Create(ctx(t), "acme", config.NewKey{Name: "x"})
				return err
			}},
			{"revoke", func() error { _, _, err := keys.Revoke(ctx(t), "acme", made.ID); return err }},
			{"set", func() error {
				_, err := hooks.Set(ctx(t), "acme", config.WebhookChange{URL: &url}, false)
				return err
			}},
			{"delete", func() error { return hooks.Delete(ctx(t), "acme") }},
		} {
			stream := st.Names().Changes()
			for length := st.Client().XLen(ctx(t), stream).Val(); length < store.ChangesMaxLen+1000; length += 500 {
				pipe := st.Client().Pipeline()
				for range 500 {
					pipe.XAdd(ctx(t), &redis.XAddArgs{Stream: stream, Values: []string{"webhook", "other"}})
				}
				if _, err := pipe.Exec(ctx(t)); err != nil {
					t.Fatal(err)
				}
			}
			if err := change.make(); err != nil {
				t.Fatalf("%s: %v", change.name, err)
			}
			const slack = 200 // Redis trims by whole nodes of a hundred entries
			if n := st.Client().XLen(ctx(t), stream).Val(); n < store.ChangesMaxLen || n > store.ChangesMaxLen+slack {
				t.Errorf("%d entries after %s", n, change.name)
			}
			if last := st.Client().XRevRangeN(ctx(t), stream, "+", "-", 1).Val(); len(last) != 1 || last[0].Values["webhook"] == "other" {
				t.Errorf("%s was not announced: %v", change.name, last)
			}
		}
	})
}

// In a Cluster the announcement is a step of its own. Where it fails, what was asked for is done all the same, and the error says so.
func TestAChangeThatIsNotAnnouncedHolds(t *testing.T) {
	c := harness.StartCluster(t)
	c.Mark(t)
	st := open(t, c.URL())
	keys, hooks, url := config.NewKeys(st), config.NewWebhooks(st, nil), "https://example.com/"
	made, err := keys.Create(ctx(t), "acme", config.NewKey{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	client := st.Client()
	for _, err := range []error{ // no stream: nothing can be added to it
		client.Del(ctx(t), st.Names().Changes()).Err(), client.Set(ctx(t), st.Names().Changes(), "x", 0).Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = keys.Revoke(ctx(t), "acme", made.ID)
	refusedWith(t, err, "change_not_announced")
	if at := client.HGet(ctx(t), st.Names().Key(config.HashKey(made.Secret)), store.KeyRevokedAt).Val(); at == "" {
		t.Error("the key is not revoked")
	}
	if !redis.HasErrorPrefix(err, "WRONGTYPE") {
		t.Errorf("%v does not say why", err)
	}
	_, err = hooks.Set(ctx(t), "acme", config.WebhookChange{URL: &url}, false)
	refusedWith(t, err, "change_not_announced")
	if _, err := hooks.Get(ctx(t), "acme"); err != nil {
		t.Errorf("the webhook is not set: %v", err)
	}
	refusedWith(t, hooks.Delete(ctx(t), "acme"), "change_not_announced")
	if _, err := hooks.Get(ctx(t), "acme"); !errors.Is(err, config.ErrWebhookNotFound) {
		t.Errorf("the webhook is not deleted: %v", err)
	}

	if err := client.Del(ctx(t), st.Names().Changes()).Err(); err != nil {
		t.Fatal(err)
	}
	if key, _, err := keys.Revoke(ctx(t), "acme", made.ID); err != nil || key.RevokedAt.IsZero() {
		t.Errorf("revoked again: %+v, %v", key, err)
	}
	if got := announced(t, st); len(got) != 1 {
		t.Errorf("announced %v", got)
	}
}
