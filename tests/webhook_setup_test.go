package tests

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// webhookEnv is the environment of the tests of webhooks: a Redis with AOF, and a receiver.
type webhookEnv struct {
	t        *testing.T
	redis    *harness.Redis
	rdb      *redis.Client
	receiver *harness.Receiver
}

func newWebhookEnv(t *testing.T, o harness.ReceiverOptions) *webhookEnv {
	t.Helper()
	r := harness.StartRedis(t, harness.AOF...)
	r.Mark()
	return &webhookEnv{t: t, redis: r, rdb: r.Client(t), receiver: harness.NewReceiver(t, o)}
}

// dispatcher is a running `tenzo-gateway dispatch`.
type dispatcher struct {
	*harness.Gateway
	status string // the URL of metrics and health
}

// dispatch starts a dispatcher that trusts the receiver's certificate and may send to loopback. The
// flags override its defaults.
func (h *webhookEnv) dispatch(flags ...string) *dispatcher {
	h.t.Helper()
	return h.dispatchOn(h.redis.URL(), flags...)
}

func (h *webhookEnv) dispatchOn(redisURL string, flags ...string) *dispatcher {
	h.t.Helper()
	listen := harness.FreeAddr(h.t)
	d := &dispatcher{status: "http://" + listen}
	args := append([]string{"dispatch", "--listen", listen, "--allow-networks", "127.0.0.0/8", "--ca-file", h.receiver.CAFile()}, flags...)
	d.Gateway = harness.StartGateway(h.t, harness.GatewayOptions{
		Args: args, Env: []string{"TENZO_REDIS_URL=" + redisURL}, Ready: d.status + "/readyz",
	})
	return d
}

// webhookSecret signs the deliveries of the tests. No log shows it, nor the path of a URL, which
// may hold a token.
const (
	webhookSecret = "s3cr3t-of-the-tests-ümläut"
	webhookToken  = "t0ken-in-the-path"
)

// setWebhook writes an organization's webhook as another program would. fields override the
// defaults; an empty value removes the field.
func (h *webhookEnv) setWebhook(org, path string, fields ...string) {
	h.t.Helper()
	hash := map[string]any{
		"url": h.receiver.URL() + "/" + webhookToken + path, "secret": webhookSecret, "active": "1", "created_at": now(), "updated_at": now(),
	}
	for i := 0; i < len(fields); i += 2 {
		if hash[fields[i]] = fields[i+1]; fields[i+1] == "" {
			delete(hash, fields[i])
		}
	}
	must(h.t, h.rdb.Del(h.t.Context(), "tenzo:webhook:"+org).Err())
	must(h.t, h.rdb.HSet(h.t.Context(), "tenzo:webhook:"+org, hash).Err())
	announce(h.t, h.rdb, "webhook", org)
}

// publish adds an event to the stream as producers do.
func publish(t *testing.T, rdb redis.UniversalClient, fields ...string) (streamID string) {
	t.Helper()
	id, err := rdb.XAdd(t.Context(), &redis.XAddArgs{Stream: "tenzo:events", Values: fields}).Result()
	must(t, err)
	return id
}

// publishInterview publishes an interview.results event with the given id.
func (h *webhookEnv) publishInterview(org, id string) {
	h.t.Helper()
	publish(h.t, h.rdb, "event", "interview.results", "org_id", org, "id", id, "payload", `{"call_id":"`+id+`"}`)
}

// publishMany publishes events from to to-1 of an organization in pipelines.
func (h *webhookEnv) publishMany(rdb redis.UniversalClient, org string, from, to int) {
	h.t.Helper()
	for from < to {
		_, err := rdb.Pipelined(h.t.Context(), func(p redis.Pipeliner) error {
			for end := min(to, from+500); from < end; from++ {
				id := fmt.Sprintf("%s-%d", org, from)
				p.XAdd(h.t.Context(), &redis.XAddArgs{Stream: "tenzo:events", Values: []string{
					"event", "interview.results", "org_id", org, "id", id, "payload", `{"call_id":"` + id + `"}`,
				}})
			}
			return nil
		})
		must(h.t, err)
	}
}

// books is the output of `events status --json`.
type books struct {
	Published, Replayed, Delivered, Skipped, Dead, Duplicate, Waiting, Difference int64
}

// books reads the books with the command, and checks that they balance.
func (h *webhookEnv) books() books {
	h.t.Helper()
	r := command(h.t, h.redis.URL(), "events", "status", "--json")
	var b books
	if err := json.Unmarshal([]byte(r.Stdout), &b); err != nil {
		h.t.Fatalf("events status ended with %d: %s%s", r.Status, r.Stdout, r.Stderr)
	}
	if b.Published+b.Replayed != b.Delivered+b.Skipped+b.Dead+b.Duplicate+b.Waiting+b.Difference || (b.Difference != 0) != (r.Status == 1) {
		h.t.Errorf("the books do not balance: %+v, status %d", b, r.Status)
	}
	return b
}

// awaitDrained waits until the stream is empty, and compares the books.
func (h *webhookEnv) awaitDrained(within time.Duration, want books) {
	h.t.Helper()
	harness.Eventually(h.t, within, func() error {
		n, err := h.rdb.XLen(h.t.Context(), "tenzo:events").Result()
		if err == nil && n > 0 {
			err = fmt.Errorf("%d events wait", n)
		}
		return err
	})
	if diff := cmp.Diff(want, h.books()); diff != "" {
		h.t.Errorf("the books (-want +got):\n%s", diff)
	}
}

// deliveries counts requests by Webhook-Id.
func (h *webhookEnv) deliveries() map[string]int {
	n := map[string]int{}
	for _, r := range h.receiver.Received() {
		n[r.Header.Get("Webhook-Id")]++
	}
	return n
}

// checkNoSecrets checks that the log of a process shows no secret.
func checkNoSecrets(t *testing.T, log string) {
	t.Helper()
	for _, secret := range []string{webhookSecret, webhookToken} {
		if strings.Contains(log, secret) {
			t.Errorf("a log shows %q", secret)
		}
	}
}

// deadLetters lists dead letters with the command.
func (h *webhookEnv) deadLetters(args ...string) (items []struct {
	ID, Event, OrgID, Reason string
	Attempts                 int
	LastStatus               *int    `json:"last_status"`
	LastError                *string `json:"last_error"`
},
) {
	h.t.Helper()
	r := command(h.t, h.redis.URL(), append([]string{"events", "dead", "list", "--json"}, args...)...)
	page := struct{ Items any }{&items}
	if err := json.Unmarshal([]byte(r.Stdout), &page); err != nil || r.Status != 0 {
		h.t.Fatalf("events dead list ended with %d: %s%s", r.Status, r.Stdout, r.Stderr)
	}
	return items
}
