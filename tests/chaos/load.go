package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// key is an API key, and what is known of it.
type key struct {
	secret, hash, id, org string
	// Times in nanoseconds of the history; 0 where it has not happened.
	created   atomic.Int64 // Redis has it, confirmed
	revoking  atomic.Int64 // a revocation has been sent
	revoked   atomic.Int64 // Redis has confirmed one
	neverMade bool
}

func makeKey(org string) *key {
	text := "tenzo_pk_" + rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(text))
	return &key{secret: text, hash: hex.EncodeToString(sum[:]), id: "k-" + strings.ToLower(rand.Text()), org: org}
}

func (k *key) String() string { return k.id }

func stamp() string { return time.Now().UTC().Format(time.RFC3339Nano) }

// create writes a key as a backend does. A key without a confirmation is never used.
func (w *world) create(k *key) {
	name := "tenzo:key:" + k.hash
	ok, err := w.store.confirmed(name, func(p redis.Pipeliner) {
		p.HSet(w.tb.ctx, name, "id", k.id, "org_id", k.org, "name", "chaos", "hint", "tenzo_pk_..."+k.secret[len(k.secret)-4:], "created_at", stamp())
	})
	if err == nil {
		ctx, cancel := context.WithTimeout(w.tb.ctx, 2*time.Second)
		defer cancel()
		err = w.store.rdb.Set(ctx, "tenzo:key-id:"+k.id, k.hash, 0).Err()
	}
	if err == nil {
		err = w.announce("key", k.hash)
	}
	if ok && err == nil {
		k.created.Store(int64(w.history.now()))
	}
	w.history.note("admin", "key %s created: %v", k, err)
}

func (w *world) announce(field, value string) error {
	ctx, cancel := context.WithTimeout(w.tb.ctx, 2*time.Second)
	defer cancel()
	return w.store.rdb.XAdd(ctx, &redis.XAddArgs{Stream: "tenzo:changes", MaxLen: 10000, Approx: true, Values: []string{field, value}}).Err()
}

// revoke revokes a key through the admin API or as a backend does, and says whether that is
// confirmed.
func (w *world) revoke(k *key, byAPI bool) bool {
	k.revoking.CompareAndSwap(0, int64(w.history.now()))
	var err error
	confirmed := !w.store.async // a failover could lose what only the primary has
	if byAPI {
		_, err = w.admin(http.MethodDelete, "/tenzo/orgs/"+k.org+"/keys/"+k.id, nil)
	} else {
		name := "tenzo:key:" + k.hash
		confirmed, err = w.store.confirmed(name, func(p redis.Pipeliner) { p.HSet(w.tb.ctx, name, "revoked_at", stamp()) })
		if err == nil {
			err = w.announce("key", k.hash)
		}
	}
	if err == nil && confirmed {
		k.revoked.Store(int64(w.history.now()))
	}
	w.history.note("admin", "key %s revoked (API %v), confirmed %v: %v", k, byAPI, confirmed, err)
	return err == nil && confirmed
}

// admin sends a request to the admin API of the first gateway.
func (w *world) admin(method, path string, body any) ([]byte, error) {
	g := w.procs[0].current()
	if g == nil {
		return nil, errors.New("the gateway is down")
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(w.tb.ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, g.Admin()+path, strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s answers %d: %s", method, path, resp.StatusCode, answer)
	}
	return answer, err
}

// setWebhook sets an organization's webhook with a new secret, as a backend does.
func (w *world) setWebhook(org string) {
	text := "secret-" + rand.Text()
	w.history.mu.Lock()
	w.history.secrets[org] = append(w.history.secrets[org], secret{text, w.history.now()})
	w.history.mu.Unlock()
	ctx, cancel := context.WithTimeout(w.tb.ctx, 2*time.Second)
	defer cancel()
	err := w.store.rdb.HSet(ctx, "tenzo:webhook:"+org, "url", w.receiver.URL()+"/"+org, "secret", text, "active", "1",
		"created_at", stamp(), "updated_at", stamp()).Err()
	if err == nil {
		err = w.announce("webhook", org)
	}
	w.history.note("admin", "secret of %s set: %v", org, err)
}

// publish publishes an event once.
func (w *world) publish(e *event) {
	fields := []string{"event", "interview.results", "org_id", e.org, "id", e.id, "payload", `{"call_id":"` + e.id + `"}`}
	switch e.invalid {
	case "invalid_payload":
		fields[7] = `{"call_id":""}`
	case "unknown_event":
		fields[1] = "no.such"
	}
	w.history.mu.Lock()
	w.history.events[e.org+" "+e.id] = e // before a receiver can get it
	w.history.mu.Unlock()
	ok, err := w.store.confirmed(eventsKey, func(p redis.Pipeliner) {
		p.XAdd(w.tb.ctx, &redis.XAddArgs{Stream: "tenzo:events", Values: fields})
	})
	w.history.mu.Lock()
	defer w.history.mu.Unlock()
	if err == nil && ok {
		e.acked++
	} else {
		e.maybe++
	}
	w.history.notes = append(w.history.notes, note{w.history.now(), "publish", fmt.Sprintf("%s of %s, confirmed %v: %v", e.id, e.org, ok, err)})
}

// produce publishes events until the context ends.
func (w *world) produce(ctx context.Context, d *dice) {
	var last *event
	for n := 0; ctx.Err() == nil; n++ {
		e := &event{org: w.orgs[d.IntN(len(w.orgs))], id: fmt.Sprintf("event-%d-%04d", w.seed, n)}
		switch {
		case d.IntN(25) == 0:
			e.invalid = "invalid_payload"
		case d.IntN(25) == 0:
			e.invalid = "unknown_event"
		case d.IntN(10) == 0 && last != nil:
			e = last // a repeated publication
		}
		w.publish(e)
		if e.invalid == "" {
			last = e
		}
		w.pause(ctx, d.between(0, 60*time.Millisecond))
	}
}

// ask sends requests to a gateway until the context ends.
func (w *world) ask(ctx context.Context, gateway int, d *dice) {
	for ctx.Err() == nil {
		w.request(gateway, w.pickKey(d))
		w.pause(ctx, d.between(0, 25*time.Millisecond))
	}
}

// pickKey picks a key that exists, or now and then one that never did: so rarely that no client is
// answered 429.
func (w *world) pickKey(d *dice) *key {
	if d.IntN(100) == 0 && w.unknown.Add(1) < 40 {
		k := makeKey("nobody")
		k.neverMade = true
		return k
	}
	for {
		if k := w.keys[d.IntN(len(w.keys))]; k.created.Load() != 0 {
			return k
		}
	}
}

func (w *world) request(gateway int, k *key) request {
	r := request{gateway: gateway, key: k, start: w.history.now(), sent: true}
	req, err := http.NewRequestWithContext(w.tb.ctx, http.MethodGet, w.procs[gateway].site, http.NoBody)
	w.must(err)
	req.Header.Set("Authorization", "Bearer "+k.secret)
	resp, err := w.client.Do(req)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		r.status = resp.StatusCode
		var problem struct{ Code string }
		if r.status != 200 && json.Unmarshal(body, &problem) == nil {
			r.code = problem.Code
		}
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		r.sent = false
	}
	r.end = w.history.now()
	w.history.mu.Lock()
	w.history.requests = append(w.history.requests, r)
	text := fmt.Sprintf("gateway %d: key %s: %d %s", gateway, k, r.status, r.code)
	if err != nil {
		text += fmt.Sprintf(" %v", err)
	}
	w.history.notes = append(w.history.notes, note{r.start, "request", text + fmt.Sprintf(" (until %.3f)", r.end.Seconds())})
	w.history.mu.Unlock()
	return r
}

// endpoint modes.
var modes = []string{"good", "good", "good", "slow", "failing", "hanging", "resetting", "redirecting"}

// answer is the receiver's script: it records the attempt, checks the request and answers as the
// organization's endpoint does at the moment.
func (w *world) answer(r *harness.Received) harness.Answer {
	org := strings.TrimPrefix(r.Path, "/")
	w.mu.Lock()
	mode := w.endpoints[org]
	w.mu.Unlock()
	at := r.At.Sub(w.history.start)
	a := attempt{at: at, org: org, id: r.Header.Get("Webhook-Id")}
	var answer harness.Answer
	delay := time.Duration(0)
	switch mode {
	case "slow":
		delay = 150 * time.Millisecond
		a.acknowledged = true
		answer = harness.Answer{Status: 202, Delay: delay}
	case "failing":
		answer = harness.Answer{Status: 500}
	case "hanging":
		answer = harness.Answer{Hang: true}
	case "resetting":
		answer = harness.Answer{Reset: true}
	case "redirecting":
		answer = harness.Answer{Redirect: w.receiver.URL() + "/redirected"}
	default:
		a.acknowledged = true
	}
	w.history.mu.Lock()
	defer w.history.mu.Unlock()
	a.problem = w.problem(r, org, a.id)
	a.end = w.history.now() + delay
	if mode == "hanging" {
		a.end = at // the dispatcher's time-out began before the request arrived
	}
	w.history.attempts = append(w.history.attempts, a)
	w.history.notes = append(w.history.notes, note{at, "receiver", fmt.Sprintf("%s of %s, endpoint %s %s", a.id, org, mode, a.problem)})
	return answer
}

// problem says what is wrong with a delivery, empty where nothing is.
func (w *world) problem(r *harness.Received, org, id string) string {
	if e := w.history.events[org+" "+id]; e != nil && e.invalid != "" {
		return "an event that must die was sent"
	}
	var body struct {
		Event  string
		CallID string `json:"call_id"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil || body.CallID != id || body.Event != "interview.results" {
		return fmt.Sprintf("the body is %q", r.Body)
	}
	signed := id + "." + r.Header.Get("Webhook-Timestamp") + "."
	for _, s := range w.history.secrets[org] {
		plain, standard := hmac.New(sha256.New, []byte(s.text)), hmac.New(sha256.New, []byte(s.text))
		plain.Write(r.Body)
		standard.Write([]byte(signed))
		standard.Write(r.Body)
		if r.Header.Get("X-Webhook-Signature") == hex.EncodeToString(plain.Sum(nil)) &&
			r.Header.Get("Webhook-Signature") == "v1,"+base64.StdEncoding.EncodeToString(standard.Sum(nil)) {
			return ""
		}
	}
	return fmt.Sprintf("signed by no secret of the organization: %q", r.Header.Get("X-Webhook-Signature"))
}

// replay sends all dead events again.
func (w *world) replay() error {
	w.history.mu.Lock()
	w.history.replays = append(w.history.replays, w.history.now())
	w.history.mu.Unlock()
	answer, err := w.admin(http.MethodPost, "/tenzo/dead-letters/replay", map[string]any{"all": true})
	w.history.note("admin", "replay of all dead events: %s %v", bytes.TrimSpace(answer), err)
	return err
}
