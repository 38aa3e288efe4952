package command

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

type keyJSON struct {
	ID         string     `json:"id"`
	OrgID      string     `json:"org_id"`
	Name       string     `json:"name"`
	Hint       string     `json:"hint"`
	CreatedAt  *time.Time `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	RevokedAt  *time.Time `json:"revoked_at"`
	Key        string     `json:"key"`
	UsageCount *int64     `json:"usage_count"`
	LastUsedAt *time.Time `json:"last_used_at"`
	Status     string     `json:"status"`
	Replica    string     `json:"replica"`
}

func TestKeysCreateQuiet(t *testing.T) {
	startStore(t)
	key := must(t, "", "keys", "create", "--org", "acme", "--name", "n", "--quiet")
	if !regexp.MustCompile(`^tenzo_pk_[A-Za-z0-9_-]+\n$`).MatchString(key) {
		t.Errorf("printed %q", key)
	}
}

func TestKeysCreateListRevoke(t *testing.T) {
	r := startStore(t)
	created := decode[keyJSON](t, must(t, "", "keys", "create", "--org", "acme", "--name", "CRM import", "--expires", "90d", "--json"))
	if !strings.HasPrefix(created.Key, "tenzo_pk_") || created.OrgID != "acme" || created.Name != "CRM import" || created.ID == "" {
		t.Fatalf("created %+v", created)
	}
	if left := time.Until(*created.ExpiresAt); left < 89*24*time.Hour || left > 90*24*time.Hour {
		t.Errorf("it expires in %s", left)
	}
	sum := sha256.Sum256([]byte(created.Key))
	if n, err := r.Client(t).Exists(t.Context(), "tenzo:key:"+hex.EncodeToString(sum[:])).Result(); err != nil || n != 1 {
		t.Errorf("its hash is not in redis: %d, %v", n, err)
	}
	harness.NextMillisecond()
	human := must(t, "", "keys", "create", "--org", "acme", "--name", "second", "--expires", "2099-01-01T00:00:00+02:00")
	for _, want := range []string{"curl -H 'Authorization: Bearer tenzo_pk_", "2098-12-31 22:00:00Z", "tenzo-gateway keys revoke key_"} {
		if !strings.Contains(human, want) {
			t.Errorf("creating says no %q in:\n%s", want, human)
		}
	}

	said := must(t, "", "keys", "revoke", created.ID)
	if !strings.Contains(said, "Revoked "+created.ID+" of acme (CRM import)") {
		t.Errorf("revoking said %q", said)
	}
	again := decode[keyJSON](t, must(t, "", "keys", "revoke", created.ID, "--json"))
	if again.RevokedAt == nil || again.Status != "revoked" || again.Replica != "none" {
		t.Errorf("revoking again says %+v", again)
	}
	refused(t, "no such API key", "keys", "revoke", "key_unknown")
	// An unset variable does not mean "never".
	refused(t, "--expires", "keys", "create", "--org", "acme", "--name", "third", "--expires", "")

	list := decode[struct{ Items []keyJSON }](t, must(t, "", "keys", "list", "--org", "acme", "--json"))
	if len(list.Items) != 2 || list.Items[0].Name != "second" || list.Items[1].Status != "revoked" || list.Items[0].Status != "active" {
		t.Errorf("listed %+v", list.Items)
	}
	if list.Items[0].UsageCount == nil || *list.Items[0].UsageCount != 0 || list.Items[0].LastUsedAt != nil || list.Items[0].Key != "" {
		t.Errorf("listed %+v", list.Items[0])
	}
	table := must(t, "", "keys", "list", "--org", "acme")
	for _, want := range []string{"STATUS", "CRM import", "revoked", "active", created.Hint} {
		if !strings.Contains(table, want) {
			t.Errorf("the table shows no %q:\n%s", want, table)
		}
	}
	if out := decode[struct{ Items []keyJSON }](t, must(t, "", "keys", "list", "--org", "nobody", "--json")); out.Items == nil || len(out.Items) != 0 {
		t.Errorf("an empty list is %+v", out)
	}
	if out := must(t, "", "keys", "list", "--org", "nobody"); !strings.Contains(out, "nobody has no API keys") {
		t.Errorf("an empty list is %q", out)
	}
	notInRedis(t, r.Client(t), created.Key)
}

// notInRedis checks that Redis contains a secret nowhere.
func notInRedis(t *testing.T, c *redis.Client, secret string) {
	t.Helper()
	keys, err := c.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		dump, err := c.Dump(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(key+dump, secret[len(secret)-20:]) {
			t.Errorf("%s holds the secret", strings.SplitN(key, ":", 3)[1])
		}
	}
}

func TestKeysCreateRefusals(t *testing.T) {
	startStore(t)
	refused(t, "has passed", "keys", "create", "--org", "acme", "--name", "x", "--expires", "2020-01-01T00:00:00Z")
	refused(t, "--expires", "keys", "create", "--org", "acme", "--name", "x", "--expires", "soon")
	refused(t, "name", "keys", "create", "--org", "acme", "--name", strings.Repeat("x", 101))
	refused(t, "name", "keys", "create", "--org", "acme", "--name", "")
}

func TestKeysListReadsEveryPage(t *testing.T) {
	startStore(t)
	n := pageSize + 3
	for i := range n {
		must(t, "", "keys", "create", "--org", "acme", "--name", fmt.Sprint("key ", i))
	}
	list := decode[struct{ Items []keyJSON }](t, must(t, "", "keys", "list", "--org", "acme", "--json"))
	seen := map[string]bool{}
	for _, k := range list.Items {
		seen[k.ID] = true
	}
	if len(seen) != n {
		t.Errorf("listed %d keys, want %d", len(seen), n)
	}
}

func TestNamesCannotMoveTheCursor(t *testing.T) {
	r := startStore(t)
	created := decode[keyJSON](t, must(t, "", "keys", "create", "--org", "acme", "--name", "x", "--json"))
	sum := sha256.Sum256([]byte(created.Key))
	if err := r.Client(t).HSet(t.Context(), "tenzo:key:"+hex.EncodeToString(sum[:]), "name", "a\x1b[2Jb\nc").Err(); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "", "keys", "list", "--org", "acme"); strings.Contains(out, "\x1b") || strings.Count(out, "\n") != 2 {
		t.Errorf("printed %q", out)
	}
}
