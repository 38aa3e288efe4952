package tests

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestRevocationAcrossGateways revokes keys that two gateways have cached, in every possible way,
// and measures how long both admit them.
func TestRevocationAcrossGateways(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	rdb := r.Client(t)
	gateways := []*gateway{startGateway(t, site{redis: r.URL()}), startGateway(t, site{redis: r.URL()})}
	ways := map[string]func(key){
		"another program": func(k key) { revoke(t, rdb, k) },
		"the command": func(k key) {
			if c := command(t, r.URL(), "keys", "revoke", k.id); c.Status != 0 {
				t.Fatalf("keys revoke: %s", c.Stderr)
			}
		},
		"the admin endpoint": func(k key) {
			req, err := http.NewRequest(http.MethodDelete, gateways[0].Admin()+"/tenzo/orgs/acme/keys/"+k.id, nil)
			must(t, err)
			a, err := do(plain, req)
			must(t, err)
			if a.StatusCode/100 != 2 {
				t.Fatalf("answered %d: %s", a.StatusCode, a.body)
			}
		},
	}
	var delays []time.Duration
	for way, revoke := range ways {
		for range 5 {
			k := newKey(t, rdb, "acme")
			for _, g := range gateways {
				must(t, g.want(k.secret, 200))
				must(t, g.want(k.secret, 200))
			}
			revoke(k)
			start := time.Now()
			for _, g := range gateways {
				harness.Eventually(t, 10*time.Second, func() error { return g.want(k.secret, 401) })
			}
			delays = append(delays, time.Since(start))
			a, err := gateways[1].get(k.secret)
			must(t, err)
			if p := a.problem(t); p.Code != "revoked_api_key" {
				t.Errorf("revoked by %s: answered %s", way, a.body)
			}
		}
	}
	slices.Sort(delays)
	t.Logf("refused everywhere after %v (median), %v (worst)", delays[len(delays)/2], delays[len(delays)-1])
	if delays[len(delays)/2] > 50*time.Millisecond {
		t.Errorf("half of the revocations took longer than %v", delays[len(delays)/2])
	}
}

// proxiedGateway starts a gateway that reaches its Redis through a proxy and has cached a key.
func proxiedGateway(t *testing.T) (*harness.Redis, *harness.Proxy, *gateway, key) {
	t.Helper()
	r := harness.StartRedis(t)
	r.Mark()
	p := harness.StartProxy(t, r.Addr())
	// Before the gateway starts, which drops a key from its cache when its creation is announced.
	k := newKey(t, r.Client(t), "acme")
	g := startGateway(t, site{redis: "redis://" + p.Addr()})
	must(t, g.want(k.secret, 200))
	return r, p, g, k
}

// A change that was missed during an outage is read once Redis can be reached again.
func TestMissedRevocationIsCaughtUp(t *testing.T) {
	for name, trouble := range map[string]func(*harness.Proxy){"cut": (*harness.Proxy).Cut, "mute": (*harness.Proxy).Mute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, p, g, k := proxiedGateway(t)
			trouble(p)
			revoke(t, r.Client(t), k)
			must(t, g.want(k.secret, 200)) // the gateway cannot know, and the entry is fresh
			p.Heal()
			harness.Eventually(t, 8*time.Second, func() error { return g.want(k.secret, 401) })
		})
	}
}

// A push connection on which nothing arrives is noticed within 5 s although all others work. The
// gateway then opens a new one.
func TestSilentPushConnection(t *testing.T) {
	t.Parallel()
	r, p, g, k := proxiedGateway(t)
	p.MuteConnections() // existing connections hang for good, new ones work
	revoke(t, r.Client(t), k)
	harness.Eventually(t, 8*time.Second, func() error { return g.want(k.secret, 401) })
}

// If missed changes can no longer be read, because the stream was trimmed, the gateway reads every
// key again.
func TestRevocationInTrimmedStream(t *testing.T) {
	for name, lose := range map[string][]any{
		"trimmed": {"xtrim", "tenzo:changes", "maxlen", 0},
		"deleted": {"del", "tenzo:changes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, p, g, k := proxiedGateway(t)
			p.Cut()
			revoke(t, r.Client(t), k)
			must(t, r.Client(t).Do(t.Context(), lose...).Err())
			p.Heal()
			harness.Eventually(t, 8*time.Second, func() error { return g.want(k.secret, 401) })
		})
	}
}

// Without push a revoked key is admitted for 60 s at most.
func TestRevocationWithoutPush(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	rdb := r.Client(t)
	// Before the gateway starts, which drops a key from its cache when its creation is announced.
	k := newKey(t, rdb, "acme")
	g := startGateway(t, site{redis: r.URL(), debugOff: true})
	must(t, g.want(k.secret, 200))
	must(t, rdb.HSet(t.Context(), "tenzo:key:"+k.hash, "revoked_at", now()).Err())
	start := time.Now()
	must(t, harness.Poll(60*time.Second, func() error { return g.want(k.secret, 401) }))
	t.Logf("refused after %v", time.Since(start).Round(time.Millisecond))
}

// While Redis does not answer, a cached key is admitted for 60 s at most. Then the answer is 503:
// never 401, and never admitted.
func TestCachedKeyExpiresDuringOutage(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	k := newKey(t, r.Client(t), "acme")
	g := startGateway(t, site{redis: r.URL(), debugOff: true})
	start := time.Now()
	must(t, g.want(k.secret, 200))
	r.Pause()
	paused := time.Now()
	must(t, harness.Poll(61*time.Second, func() error {
		sent := time.Now()
		a, err := g.get(k.secret)
		must(t, err)
		switch {
		case a.StatusCode == 200 && sent.Sub(paused) > 60*time.Second:
			t.Fatalf("let in %v after Redis had stopped", sent.Sub(paused))
		case a.StatusCode == 503 && sent.Sub(start) < 25*time.Second:
			t.Fatalf("refused already %v after its read", sent.Sub(start))
		case a.StatusCode == 503:
			return nil
		case a.StatusCode != 200:
			t.Fatal(errStatus(a))
		}
		return fmt.Errorf("still let in after %v", sent.Sub(paused))
	}))
	r.Resume()
	harness.Eventually(t, 5*time.Second, func() error { return g.want(k.secret, 200) })
}
