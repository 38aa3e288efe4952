package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// readiness is the body of /readyz.
type readiness struct {
	Ready    bool
	Problems map[string]string
}

func TestHealth(t *testing.T) {
	r := harness.StartRedis(t) // without its marker
	t.Setenv("TENZO_REDIS_URL", r.URL())
	addr := harness.FreeAddr(t)
	load(t, fmt.Sprintf(`{
	admin off
	tenzo {
		webhooks
	}
}
http://%s {
	tenzo_auth /v1
	tenzo_health
	respond "other paths pass on"
}`, addr))
	c := client(t)
	ready := func() (int, readiness) {
		response, body := get(t, c, "http://"+addr+"/readyz", "")
		var v readiness
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatalf("%v in %q", err, body)
		}
		if v.Ready != (response.StatusCode == http.StatusOK) {
			t.Errorf("%s says %q", response.Status, body)
		}
		return response.StatusCode, v
	}
	eventually := func(what string, status int, problem bool) {
		t.Helper()
		harness.Eventually(t, 15*time.Second, func() error {
			if s, v := ready(); s != status || (v.Problems["redis"] != "") != problem {
				return fmt.Errorf("%s: %d %+v", what, s, v)
			}
			return nil
		})
	}
	eventually("without the marker", http.StatusServiceUnavailable, true)
	if response, body := get(t, c, "http://"+addr+"/livez", ""); response.StatusCode != http.StatusOK || body == "" {
		t.Errorf("/livez: %s %q", response.Status, body)
	}
	if _, body := get(t, c, "http://"+addr+"/other", ""); body != "other paths pass on" {
		t.Errorf("another path: %q", body)
	}
	r.Mark()
	eventually("with the marker", http.StatusOK, false)
	key := createKey(t, r, "acme")
	awaitFollower(t) // so that the announcement of the new key does not expire its entry later
	harness.Eventually(t, 10*time.Second, func() error {
		if response, _ := get(t, c, "http://"+addr+"/v1", key.Secret); response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
	r.Kill()
	eventually("in an outage", http.StatusOK, true)
	if response, _ := get(t, c, "http://"+addr+"/v1", key.Secret); response.StatusCode != http.StatusOK {
		t.Errorf("in an outage a key that is held: %s", response.Status)
	}
}

// If the stream of changes cannot be followed, the gateway stays ready, and /readyz names the
// problem.
func TestHealthNamesChangesNotFollowed(t *testing.T) {
	r := startStore(t)
	addr := harness.FreeAddr(t)
	load(t, fmt.Sprintf("{\nadmin off\n}\nhttp://%s {\ntenzo_auth /v1\ntenzo_health\n}", addr))
	c := client(t)
	eventually := func(problem bool) {
		t.Helper()
		harness.Eventually(t, 20*time.Second, func() error {
			var v readiness
			response, body := get(t, c, "http://"+addr+"/readyz", "")
			if err := json.Unmarshal([]byte(body), &v); err != nil {
				return err
			}
			if response.StatusCode != http.StatusOK || (v.Problems["changes"] != "") != problem || v.Problems["redis"] != "" {
				return fmt.Errorf("%s %s", response.Status, body)
			}
			return nil
		})
	}
	eventually(false)
	client := r.Client(t)
	client.Del(t.Context(), "tenzo:changes")
	client.Set(t.Context(), "tenzo:changes", "no stream", 0)
	eventually(true)
	client.Del(t.Context(), "tenzo:changes")
	eventually(false)
}

// A Redis that refuses writes prevents deliveries, but not the verification of keys: the gateway
// becomes ready, and /readyz names the problem.
func TestHealthWhereRedisRefusesWrites(t *testing.T) {
	r := startStore(t)
	key := createKey(t, r, "acme")
	if err := r.Client(t).ConfigSet(t.Context(), "min-replicas-to-write", "1").Err(); err != nil {
		t.Fatal(err)
	}
	addr := harness.FreeAddr(t)
	load(t, fmt.Sprintf("{\nadmin off\ntenzo {\nwebhooks\n}\n}\nhttp://%s {\ntenzo_auth /v1\ntenzo_health\n}", addr))
	c := client(t)
	harness.Eventually(t, 15*time.Second, func() error {
		var v readiness
		response, body := get(t, c, "http://"+addr+"/readyz", "")
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK || !strings.HasPrefix(v.Problems["redis"], "refuses writes: NOREPLICAS Not enough good replicas to write: ") {
			return fmt.Errorf("%s %s", response.Status, body)
		}
		return nil
	})
	if response, _ := get(t, c, "http://"+addr+"/v1", key.Secret); response.StatusCode != http.StatusOK {
		t.Errorf("a good key: %s", response.Status)
	}
	// So that stopping is quick.
	if err := r.Client(t).ConfigSet(t.Context(), "min-replicas-to-write", "0").Err(); err != nil {
		t.Fatal(err)
	}
}
