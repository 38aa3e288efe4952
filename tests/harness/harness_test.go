package harness_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestRedisKeepsItsDataWithAOF(t *testing.T) {
	r := harness.StartRedis(t, harness.AOF...)
	r.Mark()
	r.Restart()
	if got, err := r.Client(t).Get(t.Context(), "tenzo:schema").Result(); err != nil || got != "1" {
		t.Errorf("after a restart with AOF the marker is %q, %v", got, err)
	}
	r.FlushAll()
	if n, err := r.Client(t).DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Errorf("after FLUSHALL there are %d keys, %v", n, err)
	}
}

func TestRedisForgetsWithoutAOF(t *testing.T) {
	r := harness.StartRedis(t)
	r.Mark()
	r.Restart()
	if n, err := r.Client(t).DBSize(t.Context()).Result(); err != nil || n != 0 {
		t.Errorf("after a restart without AOF there are %d keys, %v", n, err)
	}
}

func TestRedisPaused(t *testing.T) {
	r := harness.StartRedis(t)
	c := r.Client(t)
	r.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("a paused redis answers")
	}
	r.Resume()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Errorf("a resumed redis: %v", err)
	}
}

func TestRedisTLS(t *testing.T) {
	r := harness.StartRedisTLS(t, "--requirepass", "hunter2")
	if err := r.Client(t).Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func TestRedisOverItsSocket(t *testing.T) {
	o, err := redis.ParseURL(harness.StartRedis(t).SocketURL())
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	defer func() { _ = c.Close() }()
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func TestSentinelFailsOver(t *testing.T) {
	s := harness.StartSentinel(t)
	s.Failover()
	if err := s.Replica().Client(t).Set(t.Context(), "a", "b", 0).Err(); err != nil {
		t.Errorf("the former replica takes no write: %v", err)
	}
}

func TestCluster(t *testing.T) {
	c := harness.StartCluster(t)
	c.Mark(t)
	if got, err := c.Client(t).Get(t.Context(), "tenzo:schema").Result(); err != nil || got != "1" {
		t.Errorf("the marker is %q, %v", got, err)
	}
}

func TestProxyFaults(t *testing.T) {
	r := harness.StartRedis(t)
	p := harness.StartProxy(t, r.Addr())
	c := redis.NewClient(&redis.Options{Addr: p.Addr(), MaxRetries: -1, ContextTimeoutEnabled: true, PoolSize: 1})
	defer func() { _ = c.Close() }()
	ping := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		return c.Ping(ctx).Err()
	}
	if err := ping(); err != nil {
		t.Fatal(err)
	}
	p.Mute()
	if err := ping(); err == nil {
		t.Error("a mute proxy lets an answer through")
	}
	p.Heal()
	harness.Eventually(t, 5*time.Second, ping)

	// With MuteAnswers the request arrives and its answer does not.
	p.MuteAnswers()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.Incr(ctx, "n").Err(); err == nil {
		t.Error("the answer came through")
	}
	harness.Eventually(t, 5*time.Second, func() error { return r.Client(t).Get(t.Context(), "n").Err() })

	p.Cut()
	p.Heal()
	harness.Eventually(t, 5*time.Second, ping)
	p.Cut()
	if err := ping(); err == nil {
		t.Error("a cut proxy lets a connection through")
	}
}

func TestReceiverAnswersByScript(t *testing.T) {
	r := harness.NewReceiver(t, harness.ReceiverOptions{})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: r.CA().ClientConfig()}}
	defer client.CloseIdleConnections()
	post := func() (*http.Response, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL()+"/hook?token=1", bytes.NewReader([]byte("body")))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		return resp, err
	}
	if resp, err := post(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	for _, broken := range []harness.Answer{{Hang: true}, {Reset: true}, {Drip: 10 * time.Millisecond}, {Delay: time.Minute}} {
		r.SetAnswer(harness.Always(broken))
		if _, err := post(); err == nil {
			t.Errorf("%+v was answered in time", broken)
		}
	}
	r.SetAnswer(harness.Always(harness.Answer{Status: http.StatusTeapot, Body: []byte("x")}))
	if resp, err := post(); err != nil || resp.StatusCode != http.StatusTeapot {
		t.Fatalf("%v, %v", resp, err)
	}
	got := r.Wait(6, 5*time.Second)
	if got[0].Method != http.MethodPost || got[0].Path != "/hook?token=1" || string(got[0].Body) != "body" || got[0].Conn != 1 {
		t.Errorf("recorded %+v", got[0])
	}
	if got[5].Conn == got[1].Conn {
		t.Error("the last request came over the connection that was broken")
	}
}

func TestReceiverWithABadCertificate(t *testing.T) {
	r := harness.NewReceiver(t, harness.ReceiverOptions{Leaf: harness.Leaf{NotAfter: time.Now().Add(-48 * time.Hour)}})
	conn, err := tls.Dial("tcp", r.Addr(), r.CA().ClientConfig())
	if err == nil {
		_ = conn.Close()
		t.Error("an expired certificate was accepted")
	}
}
