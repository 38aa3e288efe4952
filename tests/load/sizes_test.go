package load

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// sized is the number of keys and events that are measured.
const sized = 20_000

// BenchmarkSizes measures the memory of one key and of one event of 2 kB in Redis, and of idle
// processes.
func BenchmarkSizes(b *testing.B) {
	for b.Loop() {
		s := newSite(b, 1)
		keysAndGateway(b, s)
		eventsAndDispatcher(b, s)
	}
	b.ReportMetric(0, "ns/op") // meaningless here
}

// keysAndGateway measures keys that were used once, with all their data, and a gateway before and
// after.
func keysAndGateway(b *testing.B, s *site) {
	before := s.used()
	secrets := make([]string, sized)
	pipe := s.rdb.Pipeline()
	for i := range secrets {
		secrets[i] = "tenzo_pk_" + rand.Text() + rand.Text()
		hash, id := digest(secrets[i]), "key_"+rand.Text()[:20]
		pipe.ZAdd(b.Context(), "tenzo:org:acme:keys", redis.Z{Score: float64(time.Now().UnixMilli()), Member: hash})
		pipe.Set(b.Context(), "tenzo:key-id:"+id, hash, 0)
		pipe.HSet(b.Context(), "tenzo:key:"+hash, "id", id, "org_id", "acme", "name", "Production Integration", "hint", "tenzo_pk_..."+secrets[i][len(secrets[i])-4:],
			"created_at", time.Now().UTC().Format(time.RFC3339))
	}
	if _, err := pipe.Exec(b.Context()); err != nil {
		b.Fatal(err)
	}
	port := harness.FreePort(b)
	gateway := harness.StartGateway(b, harness.GatewayOptions{
		Caddyfile: fmt.Sprintf("{\n admin {$TENZO_TEST_ADMIN}\n auto_https off\n}\nhttp://:%d {\n bind 127.0.0.1\n tenzo_auth\n respond ok\n}\n", port),
		Env:       []string{"TENZO_REDIS_URL=" + s.redis.URL()}, Ready: fmt.Sprintf("http://127.0.0.1:%d/", port),
	})
	s.resident(gateway.Process, "gateway-MiB")
	load := harness.Load{Addr: "127.0.0.1:" + strconv.Itoa(port), Connections: connections, Requests: sized, Request: func(n int64) []byte {
		return []byte("GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + secrets[n] + "\r\n\r\n")
	}}
	if err := load.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	harness.Eventually(b, time.Minute, func() error {
		keys, err := s.rdb.Eval(b.Context(), "return #redis.call('KEYS', 'tenzo:usage:*')", nil).Int()
		if err == nil && keys < sized {
			err = fmt.Errorf("%d keys are counted", keys)
		}
		return err
	})
	s.resident(gateway.Process, "gateway-used-MiB")
	end(b, gateway.Process)
	s.weigh(before, "B/key")
}

// eventsAndDispatcher measures waiting events, dead letters, what remains of a delivered event, and
// an idle dispatcher.
func eventsAndDispatcher(b *testing.B, s *site) {
	idle := s.dispatch()
	harness.Eventually(b, 10*time.Second, func() error {
		if !strings.Contains(idle.Log().String(), "following changes") {
			return fmt.Errorf("it has not begun")
		}
		return nil
	})
	s.resident(idle, "dispatcher-MiB")
	end(b, idle)

	before := s.used()
	s.fill("tenzo:events", sized, 1)
	s.weigh(before, "B/event")
	delivering := s.dispatch()
	s.finished("tenzo:events", time.Minute)
	end(b, delivering)
	s.forgetDeliveries()
	s.weigh(before, "B/delivered")

	before = s.used()
	s.fill("tenzo:events", sized, 1)
	// Too large: dead letters.
	discarding := s.dispatch("--allow-networks", "203.0.113.0/24", "--ca-file", s.recv.ca.File(), "--max-payload", "1KiB")
	s.finished("tenzo:events", time.Minute)
	end(b, discarding)
	s.forgetDeliveries()
	s.weigh(before, "B/dead")
}

// forgetDeliveries deletes the delivery log, whose size is bounded for each organization.
func (s *site) forgetDeliveries() {
	s.b.Helper()
	if err := s.rdb.Del(s.b.Context(), "tenzo:deliveries:"+org(0)).Err(); err != nil {
		s.b.Fatal(err)
	}
}

// used returns the memory of Redis' data in bytes.
func (s *site) used() int64 {
	s.b.Helper()
	info, err := s.rdb.Info(s.b.Context(), "memory").Result()
	if err != nil {
		s.b.Fatal(err)
	}
	n, err := strconv.ParseInt(store.InfoField(info, "used_memory"), 10, 64)
	if err != nil {
		s.b.Fatal(err)
	}
	return n
}

// weigh reports the memory of one object among those created since before was measured.
func (s *site) weigh(before int64, unit string) {
	s.b.Helper()
	s.b.ReportMetric(float64(s.used()-before)/sized, unit)
}

// resident reports the resident size of a process.
func (s *site) resident(p *harness.Process, unit string) {
	s.b.Helper()
	rss, err := p.RSS()
	if err != nil {
		s.b.Fatal(err)
	}
	s.b.ReportMetric(float64(rss)/(1<<20), unit)
}
