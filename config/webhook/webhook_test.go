package webhook_test

// This file tests the service on real servers.

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/internal/storetest"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestWebhookLifeCycle(t *testing.T) {
	storetest.OnEveryKind(t, func(t *testing.T, st *store.Store) {
		hooks := webhook.NewService(st, nil)
		if _, err := hooks.Get(storetest.Context(t), "acme"); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("get: %v", err)
		}
		url, secret, on, off, none := "https://example.com/a?token=x", "s3cret", true, false, ""
		if _, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{Active: &on}, true); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("enable: %v", err)
		}
		if st.Client().Exists(storetest.Context(t), st.Names().Webhook("acme")).Val() != 0 {
			t.Error("a refused change left something")
		}
		_, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{Active: &on}, false)
		storetest.RefusedWith(t, err, "missing_url")
		storetest.Published(t, st)

		first, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{URL: &url, Secret: &secret}, false)
		if err != nil {
			t.Fatal(err)
		}
		want := webhook.Webhook{OrgID: "acme", URL: url, Secret: webhook.NewSecret(secret), Active: true, CreatedAt: first.CreatedAt, UpdatedAt: first.CreatedAt}
		if diff := cmp.Diff(want, first); diff != "" || first.CreatedAt.IsZero() {
			t.Errorf("set: %s", diff)
		}
		if got := storetest.Published(t, st); !cmp.Equal(got, []string{"webhook:acme"}) {
			t.Errorf("announced %v", got)
		}
		if got := st.Client().HGetAll(storetest.Context(t), st.Names().Webhook("acme")).Val(); got["active"] != "1" || got["secret"] != secret || got["url"] != url || len(got) != 5 {
			t.Errorf("in redis: %v", got)
		}
		st.Client().HSet(storetest.Context(t), st.Names().Webhook("acme"), "created_at", "2020-01-01T00:00:00Z", "private", "kept")

		second, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{Active: &off}, true)
		if err != nil || second.Active || second.URL != url || second.Secret.Reveal() != secret || second.CreatedAt.Year() != 2020 || second.UpdatedAt.Year() == 2020 {
			t.Errorf("disable: %+v, %v", second, err)
		}
		other := "https://example.org/"
		third, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{URL: &other}, false)
		if err != nil || third.Active || third.URL != other || third.Secret.Reveal() != secret {
			t.Errorf("another URL: %+v, %v", third, err)
		}
		fourth, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{Secret: &none, Active: &on}, true)
		if err != nil || !fourth.Active || fourth.Secret.IsSet() {
			t.Errorf("without a secret: %+v, %v", fourth, err)
		}
		read, err := hooks.Get(storetest.Context(t), "acme")
		if diff := cmp.Diff(fourth, read); diff != "" || err != nil {
			t.Errorf("get: %s, %v", diff, err)
		}
		if v := st.Client().HGet(storetest.Context(t), st.Names().Webhook("acme"), "private").Val(); v != "kept" {
			t.Error("a private field is gone")
		}
		storetest.Published(t, st)
		if err := hooks.Delete(storetest.Context(t), "acme"); err != nil {
			t.Fatal(err)
		}
		if got := storetest.Published(t, st); !cmp.Equal(got, []string{"webhook:acme"}) {
			t.Errorf("announced %v", got)
		}
		if err := hooks.Delete(storetest.Context(t), "acme"); !errors.Is(err, webhook.ErrNotFound) {
			t.Errorf("delete again: %v", err)
		}
		if got := storetest.Published(t, st); !cmp.Equal(got, []string{"webhook:acme"}) {
			t.Errorf("a deletion that was cut off is announced by the next: %v", got)
		}
		// Off from the start.
		if w, err := hooks.Set(storetest.Context(t), "acme", webhook.Change{URL: &url, Active: &off}, false); err != nil || w.Active {
			t.Errorf("%+v, %v", w, err)
		}
	})
}

func TestWebhookRefusals(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	st := storetest.Open(t, r.URL())
	strict := webhook.NewService(st, nil)
	loopback := webhook.NewService(st, &address.Policy{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for _, url := range []string{"", "http://example.com/", "https://127.0.0.1/", "https://u:SECRET@example.com/", "ftp://x"} {
		_, err := strict.Set(storetest.Context(t), "acme", webhook.Change{URL: &url}, false)
		if e, ok := errors.AsType[*problem.Error](err); !ok || e.Field != "url" || strings.Contains(e.Detail, "SECRET") {
			t.Errorf("%q: %v", url, err)
		}
	}
	secret := "whsec_cutshort"
	url := "http://127.0.0.1:1/x"
	_, err := loopback.Set(storetest.Context(t), "acme", webhook.Change{URL: &url, Secret: &secret}, false)
	storetest.RefusedWith(t, err, "invalid_secret")
	if _, err := loopback.Set(storetest.Context(t), "acme", webhook.Change{URL: &url}, false); err != nil {
		t.Error(err)
	}
	_, err = strict.Set(storetest.Context(t), "no id!", webhook.Change{URL: &url}, false)
	storetest.RefusedWith(t, err, "invalid_org_id")
}

func TestWebhookFromElsewhere(t *testing.T) {
	for active, want := range map[string]bool{"1": true, "0": false, "": false, "true": false, "yes": false, " 1": false} {
		if w := webhook.FromHash("acme", map[string]string{"active": active, "created_at": "x"}); w.Active != want {
			t.Errorf("%q is %v", active, w.Active)
		}
	}
}
