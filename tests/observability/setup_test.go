package observability

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// answerByPath is the receiver's script: the path selects the answer.
func answerByPath(r *harness.Received) harness.Answer {
	switch {
	case strings.HasPrefix(r.Path, "/fails"):
		return harness.Answer{Status: http.StatusInternalServerError}
	case strings.HasPrefix(r.Path, "/moved"):
		return harness.Answer{Redirect: "https://example.com/"}
	case strings.HasPrefix(r.Path, "/hangs"):
		return harness.Answer{Hang: true}
	}
	return harness.Answer{}
}

// scenario produces the traffic and the faults.
type scenario struct {
	p   *processes
	rdb *redis.Client
	n   int // events published
	// keys of every kind
	revoked, expired, invalid string
}

// newScenario creates organizations whose endpoints answer differently, and keys of every kind.
func newScenario(t *testing.T, p *processes) *scenario {
	t.Helper()
	s := &scenario{p: p, rdb: p.redis.Client(t)}
	for org, path := range map[string]string{"acme": "/ok", "failing": "/fails", "moved": "/moved", "hanging": "/hangs"} {
		s.webhook(t, org, p.receiver.URL()+path, "1")
	}
	s.webhook(t, "blocked", "https://10.1.2.3/", "1")
	s.webhook(t, "inactive", p.receiver.URL(), "0")

	s.revoked, s.expired, s.invalid = p.createKey(t), p.createKey(t), p.createKey(t)
	s.editKey(t, s.revoked, "revoked_at", "2026-01-01T00:00:00Z")
	s.editKey(t, s.expired, "expires_at", "2026-01-01T00:00:00Z")
	s.editKey(t, s.invalid, "expires_at", "one day")
	return s
}

func (s *scenario) do(t *testing.T, args ...any) {
	t.Helper()
	if err := s.rdb.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
}

func (s *scenario) webhook(t *testing.T, org, url, active string) {
	t.Helper()
	s.do(t, "HSET", "tenzo:webhook:"+org, "url", url, "secret", "s3cret", "active", active)
	s.do(t, "XADD", "tenzo:changes", "*", "webhook", org)
}

func (s *scenario) editKey(t *testing.T, key, field, value string) {
	t.Helper()
	hash := sha256Hex(key)
	s.do(t, "HSET", "tenzo:key:"+hash, field, value)
	s.do(t, "XADD", "tenzo:changes", "*", "key", hash)
}

// publish adds an event; it ignores an outage of Redis.
func (s *scenario) publish(ctx context.Context, org, event, payload string) {
	s.n++
	_ = s.rdb.XAdd(ctx, &redis.XAddArgs{Stream: "tenzo:events", Values: []any{
		"event", event, "org_id", org, "id", fmt.Sprint("event-", s.n), "payload", payload,
	}}).Err()
}

func (s *scenario) publishAll(ctx context.Context) {
	interview := fmt.Sprintf(`{"call_id":"call-%d"}`, s.n)
	note := fmt.Sprintf(`{"noteId":"note-%d","meeting":{"type":"intake"}}`, s.n)
	for _, org := range []string{"acme", "acme", "failing", "moved", "blocked", "inactive"} {
		s.publish(ctx, org, "interview.results", interview)
		s.publish(ctx, org, "note.finalized", note)
	}
	s.publish(ctx, "failing", "note.finalized", note)
	s.publish(ctx, "failing", "note.finalized", note)
	s.publish(ctx, "acme", passedEvent, `{}`)
	s.publish(ctx, "acme", "candidate.fired", `{}`)
	s.n--
	// a duplicate, unless the first one is finished and its id free again
	s.publish(ctx, "acme", "candidate.fired", `{}`)
	s.n -= 4
	s.publish(ctx, "acme", "note.finalized", note)
	s.n += 3
}

// traffic sends requests of every kind and publishes events for the duration.
func (s *scenario) traffic(t *testing.T, duration time.Duration) {
	t.Helper()
	end := time.Now().Add(duration)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(end) {
		s.publishAll(t.Context())
		for _, key := range []string{s.p.key, s.p.key, "", "nonsense", s.revoked, s.expired, s.invalid, "tenzo_pk_unknownunknown0123456789"} {
			s.p.get(t, key)
		}
		<-tick.C
	}
}

// loseReplica makes Redis refuse writes because no replica is connected.
func (s *scenario) loseReplica(t *testing.T, w *watch) {
	t.Helper()
	s.do(t, "CONFIG", "SET", "min-replicas-to-write", "1")
	w.await(t, 20*time.Second, "TenzoRedisRefusing", "pending")
	s.do(t, "CONFIG", "SET", "min-replicas-to-write", "0")
}

// loseUpstream sends requests to the site whose upstream is unreachable.
func (s *scenario) loseUpstream(t *testing.T, w *watch) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, func() error {
		for range 20 {
			if status := s.p.getFrom(t, s.p.lostSite, s.p.key); status != http.StatusBadGateway {
				t.Errorf("without an upstream a valid key is answered %d", status)
			}
		}
		return w.was("TenzoUpstreamFailing", "pending")
	})
}

// changeKeys changes and announces a key in use.
func (s *scenario) changeKeys(t *testing.T) {
	t.Helper()
	for range 5 {
		s.editKey(t, s.p.key, "name", "renamed")
		s.p.get(t, s.p.key)
	}
}

// loseEvent deletes an event before any dispatcher reads it.
func (s *scenario) loseEvent(t *testing.T) {
	t.Helper()
	const lose = `return redis.call('XDEL', KEYS[1], redis.call('XADD', KEYS[1], '*', 'event', 'note.finalized', 'org_id', 'acme', 'payload', '{}'))`
	if err := s.rdb.Eval(t.Context(), lose, []string{"tenzo:events"}).Err(); err != nil {
		t.Fatal(err)
	}
}

func (s *scenario) breakConfiguration(t *testing.T, w *watch) {
	t.Helper()
	good := s.p.caddyfile()
	if err := s.p.gateway.Reload(strings.Replace(good, "timeout 5s", "timeout -5s", 1)); err == nil {
		t.Error("a broken configuration was accepted")
	}
	if err := s.p.gateway.Reload(strings.Replace(good, "127.0.0.0/8", "127.0.0.0/8\n\t\t\ttimeout 5m", 1)); err == nil {
		t.Error("a broken configuration was accepted")
	}
	// This one passes validation and fails when it is loaded.
	if err := s.p.gateway.Reload(strings.Replace(good, s.p.receiver.CAFile(), "/nonexistent/ca.pem", 1)); err == nil {
		t.Error("a configuration with a missing file was accepted")
	}
	w.await(t, 10*time.Second, "TenzoReloadFailed", "pending", "firing")
	if err := s.p.gateway.Reload(good); err != nil {
		t.Fatal(err)
	}
}

// fillRedis sets maxmemory below what is used, while deliveries fail and are logged.
func (s *scenario) fillRedis(t *testing.T, w *watch) {
	t.Helper()
	for range 10 {
		s.publish(t.Context(), "failing", "note.finalized", `{"noteId":"n","meeting":{"type":"intake"}}`)
	}
	s.do(t, "CONFIG", "SET", "maxmemory", "1")
	w.await(t, 15*time.Second, "TenzoRedisFull", "firing")
	s.do(t, "CONFIG", "SET", "maxmemory", "0")
}

// killDispatcher kills the companion while receivers delay their answers, and starts another one.
func (s *scenario) killDispatcher(t *testing.T, w *watch) {
	t.Helper()
	held := func() error {
		families, _, err := tryScrape(s.p.dispatchMetrics)
		if err != nil {
			return err
		}
		s.publish(t.Context(), "hanging", "note.finalized", `{"noteId":"n","meeting":{"type":"intake"}}`)
		if n := families["tenzo_webhook_in_flight"].GetMetric()[0].GetGauge().GetValue(); n == 0 {
			return fmt.Errorf("the companion has no event in flight")
		}
		return nil
	}
	harness.Eventually(t, 15*time.Second, held)
	s.p.dispatch.Kill()
	w.await(t, 5*time.Second, "TenzoProcessDown", "pending")
	s.p.restartDispatch(t)
}

// floodUnknownKeys sends unknown keys until well beyond the allowance.
func (s *scenario) floodUnknownKeys(t *testing.T) {
	t.Helper()
	var work sync.WaitGroup
	for i := range 4 {
		work.Go(func() {
			for j := range 200 {
				s.p.get(t, fmt.Sprintf("tenzo_pk_unknownunknown%010d", i*1000+j))
			}
		})
	}
	work.Wait()
}

// outage kills Redis long enough for the alerts to fire. A cached key still passes; any other gets
// 503.
func (s *scenario) outage(t *testing.T, w *watch) {
	t.Helper()
	fresh := s.p.createKey(t)
	if status := s.p.get(t, s.p.key); status != http.StatusOK {
		t.Errorf("before the outage a valid key is answered %d", status)
	}
	s.p.redis.Kill()
	began := time.Now()
	if status := s.p.get(t, s.p.key); status != http.StatusOK {
		t.Errorf("at the start of the outage a cached key is answered %d", status)
	}
	if status := s.p.get(t, fresh); status != http.StatusServiceUnavailable {
		t.Errorf("during the outage a key that is not cached is answered %d", status)
	}
	w.await(t, 8*time.Second, "TenzoRedisDown", "pending")
	for time.Since(began) < 20*time.Second {
		s.p.get(t, fresh)
	}
	w.await(t, 20*time.Second, "TenzoRedisDown", "firing")
	w.await(t, 15*time.Second, "TenzoRevocationsStale", "pending", "firing")
	s.p.redis.Start()
	harness.Eventually(t, 10*time.Second, func() error {
		if status := s.p.get(t, fresh); status != http.StatusOK {
			return fmt.Errorf("after the outage a valid key is answered %d", status)
		}
		return nil
	})
}

func (s *scenario) loseMarker(t *testing.T, w *watch) {
	t.Helper()
	s.do(t, "DEL", "tenzo:schema")
	w.await(t, 8*time.Second, "TenzoRedisNotInitialized", "pending")
	s.do(t, "SET", "tenzo:schema", "1")
}
