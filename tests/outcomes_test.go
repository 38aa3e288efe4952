package tests

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// outcomes are what blocks that run must have brought about, by the name in their comment `<!--
// test: run NAME -->`. Each looks at the system itself: at the gateway's answers, at Redis, at what
// the receiver got. It looks at the block's output only if the output is the point of the block.
var outcomes = map[string]func(d *document) error{
	// The block has assertions of its own, in Python.
	"asserts": func(*document) error { return nil },

	"admitted":      func(d *document) error { return d.shows("HTTP/1.1 200", `"organization":"acme"`) },
	"admitted-body": func(d *document) error { return d.shows(`"organization":"acme"`) },
	"refused":       func(d *document) error { return d.shows(`"code":"missing_api_key"`) },
	"ready":         func(d *document) error { return d.shows(`"ready":true`) },
	"live-ready-up": func(d *document) error { return d.shows(`"ready":true`, "tenzo_redis_up 1") },
	"valid":         func(d *document) error { return d.shows("Valid configuration") },
	"adapted":       func(d *document) error { return d.shows("Valid configuration", `"handler": "tenzo_auth"`) },
	"durable":       func(d *document) error { return d.shows("appendonly\nyes", "maxmemory-policy\nnoeviction") },
	"first-aid":     func(d *document) error { return d.shows("PONG", "\n1\n", `"ready":true`, "difference") },
	"rules-pass":    func(d *document) error { return d.shows("SUCCESS", "rules found") },
	"lists-key":     func(d *document) error { return d.shows(hint(d.key.secret), d.key.id, "active") },
	"shows-record":  func(d *document) error { return d.shows(d.key.id, "acme", hint(d.key.secret)) },
	"lists-dead":    func(d *document) error { return d.shows("dead-acme", "dead-other") },
	"lists-sent":    func(d *document) error { return d.shows("call-1", "call-2", "dead-acme") },
	"books-balance": func(d *document) error { return d.shows(`"dead":2`, `"difference":0`) },

	// The new key was admitted, and its use is counted.
	"key-used": func(d *document) error {
		if err := d.shows(`"organization":"acme"`, "Production Integration", "active"); err != nil {
			return err
		}
		for _, k := range list(d.t, d.redis.URL(), "acme") {
			if k.Name == "Production Integration" {
				return d.counted(k.ID, 1)
			}
		}
		return errors.New("no key is listed")
	},
	"revoked":     func(d *document) error { return d.answers(d.key.secret, "revoked_api_key") },
	"key-created": func(d *document) error { return d.answers(keyText.FindString(d.output), "") },
	"key-written": func(d *document) error {
		return errors.Join(d.answers(d.variable("key"), ""), d.lists("acme", "Made by the backend", "active"))
	},
	"key-revoked": func(d *document) error { return d.answers(d.variable("key"), "revoked_api_key") },
	// The block before used the key once, and key-written another time. The count is written about
	// a second after a use, so that the block may print less.
	"usage-read": func(d *document) error { return d.counted(d.variable("id"), 2) },
	// The leaked key is refused, and its replacement is not.
	"leaked-key-replaced": func(d *document) error {
		return errors.Join(d.answers(d.key.secret, "revoked_api_key"), d.answers(keyText.FindString(d.output), ""))
	},
	"customer-gone": func(d *document) error {
		if n, err := d.rdb.Exists(d.t.Context(), "tenzo:webhook:acme").Result(); err != nil || n != 0 {
			return fmt.Errorf("the webhook is there, %v", err)
		}
		for _, k := range list(d.t, d.redis.URL(), "acme") {
			if k.Status != "revoked" {
				return fmt.Errorf("key %s is %s", k.ID, k.Status)
			}
		}
		return d.answers(d.key.secret, "revoked_api_key")
	},
	// The dead letters of one organization are gone, those of another are not.
	"dead-letters-gone": func(d *document) error {
		if strings.Contains(d.output, "dead-acme") {
			return errors.New("the list still has the event")
		}
		all := command(d.t, d.redis.URL(), "events", "dead", "list")
		if strings.Contains(all.Stdout, "dead-acme") || !strings.Contains(all.Stdout, "dead-other") {
			return fmt.Errorf("dead events are now:\n%s", all.Stdout)
		}
		return nil
	},

	// A test event arrived, then the published one, each once, signed with the generated secret.
	"webhook-delivered": func(d *document) error {
		if err := d.received("7d0c9f1e"); err != nil {
			return err
		}
		secret, err := d.rdb.HGet(d.t.Context(), "tenzo:webhook:acme", "secret").Result()
		if err != nil || !strings.HasPrefix(secret, "whsec_") {
			return fmt.Errorf("the secret was not generated, %v", err)
		}
		if tests := d.receivedTests(); tests != 1 {
			return fmt.Errorf("%d test events arrived", tests)
		}
		return d.shows("Acknowledged", "Published")
	},
	// The id was delivered a moment ago, so the event is counted as a duplicate.
	"duplicate": func(d *document) error {
		return harness.Poll(10*time.Second, func() error {
			var b books
			status := command(d.t, d.redis.URL(), "events", "status", "--json")
			if err := json.Unmarshal([]byte(status.Stdout), &b); err != nil || b.Duplicate != 1 || b.Difference != 0 {
				return fmt.Errorf("the books say %s, %v", status.Stdout, err)
			}
			return d.received("7d0c9f1e")
		})
	},
	"call-1-delivered": func(d *document) error { return d.received("call-1") },
	"call-2-delivered": func(d *document) error { return d.received("call-2") },
	"test-event-delivered": func(d *document) error {
		if d.receivedTests() != 1 {
			return fmt.Errorf("%d test events arrived", d.receivedTests())
		}
		return d.shows("Acknowledged")
	},
	"webhook-written": func(d *document) error {
		if strings.Contains(d.output, "whsec_") {
			return errors.New("the output shows the secret")
		}
		return d.shows("https://hooks.example.com/tenzo", "active")
	},

	"secret-file": func(d *document) error {
		info, err := os.Stat(filepath.Join(d.folder, "new-secret"))
		if err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(d.folder, "new-secret"))
		if d.kept = strings.TrimSpace(string(text)); err != nil || len(d.kept) != len("whsec_")+44 || info.Mode().Perm() != 0o600 {
			return fmt.Errorf("new-secret has mode %v and %d characters, %v", info.Mode(), len(d.kept), err)
		}
		return nil
	},
	"secret-changed": func(d *document) error {
		if _, err := os.Stat(filepath.Join(d.folder, "new-secret")); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("new-secret is left behind, %v", err)
		}
		hash, err := d.rdb.HGetAll(d.t.Context(), "tenzo:webhook:acme").Result()
		if err != nil || hash["secret"] != d.kept || hash["url"] != d.receiver.URL()+"/hook" || hash["active"] != "1" {
			return fmt.Errorf("the webhook is %v, %v", hash, err)
		}
		return nil
	},
	// The user has both passwords.
	"password-added": func(d *document) error {
		added, err := os.ReadFile(filepath.Join(d.folder, "new-password"))
		if err != nil {
			return err
		}
		for _, password := range []string{formerPassword, string(added)} {
			c := redis.NewClient(&redis.Options{Addr: d.redis.Addr(), Username: "tenzo", Password: password})
			err = errors.Join(err, c.Ping(d.t.Context()).Err(), c.Close())
		}
		return err
	},
}

// formerPassword is the password of the Redis user tenzo before a block adds another one.
const formerPassword = "the former password"

// outcome checks what a block that ran has brought about.
func (d *document) outcome(name string) error {
	check, found := outcomes[name]
	if !found {
		return fmt.Errorf("no outcome %q; see outcomes in tests/outcomes_test.go", name)
	}
	if err := check(d); err != nil {
		return fmt.Errorf("%w; the block printed:\n%s", err, d.output)
	}
	return nil
}

// Every outcome is used by a document.
func TestOutcomesAreUsed(t *testing.T) {
	var used []string
	for _, file := range files(t, ".md") {
		for _, s := range snippets(t, file) {
			if how, name, _ := strings.Cut(s.how, " "); how == "run" {
				used = append(used, name)
			}
		}
	}
	for name := range outcomes {
		if !slices.Contains(used, name) {
			t.Errorf("no document uses the outcome %s", name)
		}
	}
}

// shows checks that the output contains texts.
func (d *document) shows(texts ...string) error {
	for _, text := range texts {
		if !strings.Contains(d.output, text) {
			return fmt.Errorf("the output lacks %q", text)
		}
	}
	return nil
}

// answers waits until the gateway refuses a key with a code, or admits it if the code is "".
func (d *document) answers(key, code string) error {
	if key == "" {
		return errors.New("there is no key")
	}
	return harness.Poll(10*time.Second, func() error {
		req := request(d.t, http.MethodGet, "http://"+d.ports.Replace("localhost:8080")+"/v1/jobs")
		req.Header.Set("Authorization", "Bearer "+key)
		a, err := do(plain, req)
		if err != nil {
			return err
		}
		if code == "" {
			return errStatusUnless(a, http.StatusOK)
		}
		if !strings.Contains(string(a.body), `"code":"`+code+`"`) {
			return errStatus(a)
		}
		return nil
	})
}

// counted waits until Redis has the number of a key's uses.
func (d *document) counted(id string, uses int64) error {
	return harness.Poll(10*time.Second, func() error {
		if got, err := count(d.t.Context(), d.rdb, key{id: id}); err != nil || got != uses {
			return fmt.Errorf("key %s was counted %d times, not %d, %v", id, got, uses, err)
		}
		return nil
	})
}

// lists checks that an organization has a key with a name and a status.
func (d *document) lists(org, name, status string) error {
	for _, k := range list(d.t, d.redis.URL(), org) {
		if k.Name == name && k.Status == status {
			return nil
		}
	}
	return fmt.Errorf("%s has no %s key %q", org, status, name)
}

// received waits until an event has arrived, and checks that it arrived once.
func (d *document) received(id string) error {
	return harness.Poll(10*time.Second, func() error {
		n := 0
		for _, r := range d.receiver.Received() {
			if r.Header.Get("Webhook-Id") == id {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("event %s arrived %d times", id, n)
		}
		return nil
	})
}

// receivedTests counts the test events that have arrived.
func (d *document) receivedTests() (n int) {
	for _, r := range d.receiver.Received() {
		if strings.HasPrefix(r.Header.Get("Webhook-Id"), "test-") {
			n++
		}
	}
	return n
}

// variable returns a shell variable of the blocks that have run.
func (d *document) variable(name string) string {
	d.t.Helper()
	r := harness.Run(d.t, harness.Command{
		Name: "bash", Path: "bash", Args: []string{"-c", `. "$1"; printf %s "${!2}"`, "bash", filepath.Join(d.home, "state"), name},
	}, "")
	if r.Status != 0 || r.Stdout == "" {
		d.t.Errorf("there is no variable %s: %s", name, r.Stderr)
	}
	return r.Stdout
}
