package attempt

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Attempts share one connection, whatever small body the responses have, and use a new one where
// asked to.
func TestConnectionsArePooled(t *testing.T) {
	recv := harness.NewReceiver(t, harness.ReceiverOptions{})
	s := newSender(t, recv.CA())
	for i, body := range []int{0, 10, 5000, maxBodyBytes, 0, 0} {
		recv.SetAnswer(harness.Always(harness.Answer{Body: make([]byte, body)}))
		if got := send(t, s, to(recv.URL(), "")); !got.Acknowledged {
			t.Fatalf("%d: %+v", i, got)
		}
		s.waitForDrains(t)
	}
	if n := recv.Conns(); n != 1 {
		t.Errorf("%d connections, want one shared", n)
	}
	noReuse := to(recv.URL(), "")
	noReuse.NoReuse = true
	for range 3 {
		send(t, s, noReuse)
	}
	if n := recv.Conns(); n != 4 {
		t.Errorf("%d connections after three without reuse", n)
	}
	send(t, s, to(recv.URL(), ""))
	if n := recv.Conns(); n != 4 {
		t.Errorf("%d connections: the pooled one was lost", n)
	}
}

// waitForDrains waits until all response bodies are read and their connections pooled.
func (s *Sender) waitForDrains(t testing.TB) {
	t.Helper()
	harness.Eventually(t, 5*time.Second, func() error {
		s.drains.mu.Lock()
		defer s.drains.mu.Unlock()
		if s.drains.total > 0 {
			return fmt.Errorf("%d bodies are being read", s.drains.total)
		}
		return nil
	})
}

// A pooled connection is reset when the request arrives: the attempt fails, and is not repeated.
func TestStaleConnectionIsNotRetried(t *testing.T) {
	recv := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})
	s := newSender(t, nil)
	send(t, s, to(recv.URL(), ""))
	recv.SetAnswer(harness.Always(harness.Answer{Reset: true}))
	got := send(t, s, to(recv.URL(), ""))
	if got.Class != Connection || got.ConnectFailed || got.Status != 0 {
		t.Errorf("%+v", got)
	}
	if n := recv.Count(); n != 2 {
		t.Errorf("%d requests arrived for two attempts", n)
	}
}

// A body drips for ever: the acknowledgement does not wait for it, and reading it ends with the
// time of the attempt.
func TestAcknowledgementDoesNotWaitForTheBody(t *testing.T) {
	recv := harness.NewReceiver(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Drip: 10 * time.Millisecond})})
	s := newSender(t, recv.CA(), timeout(2*time.Second))
	got := send(t, s, to(recv.URL(), ""))
	if !got.Acknowledged || got.Duration > time.Second {
		t.Errorf("%+v", got)
	}
	s.drains.mu.Lock()
	reading := s.drains.total
	s.drains.mu.Unlock()
	if reading != 1 {
		t.Errorf("%d bodies are being read", reading)
	}
	s.waitForDrains(t)
}

func TestHugeAndDrippingBodiesAreBounded(t *testing.T) {
	recv := harness.NewReceiver(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Body: make([]byte, maxBodyBytes+1)})})
	s := newSender(t, recv.CA())
	for range 2 {
		if got := send(t, s, to(recv.URL(), "")); !got.Acknowledged {
			t.Fatalf("%+v", got)
		}
		s.waitForDrains(t)
	}
	if n := recv.Conns(); n != 2 {
		t.Errorf("%d connections: one whose body is too large must not be pooled", n)
	}
	recv.SetAnswer(harness.Always(harness.Answer{Drip: time.Hour}))
	for range maxDrainsPerHost + 10 {
		if got := send(t, s, to(recv.URL(), "")); !got.Acknowledged {
			t.Fatalf("%+v", got)
		}
	}
	s.drains.mu.Lock()
	defer s.drains.mu.Unlock()
	if s.drains.total != maxDrainsPerHost {
		t.Errorf("%d bodies of one host are being read", s.drains.total)
	}
}

func TestTrace(t *testing.T) {
	recv := harness.NewReceiver(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Status: 418, Header: map[string]string{"X-Answer": "yes"}})})
	s := newSender(t, recv.CA())
	r := to(strings.Replace(recv.URL(), "127.0.0.1", "localhost", 1), "SECRET")
	r.Trace = true
	got := send(t, s, r)
	if got.Trace == nil || got.Trace.Sent.Get("X-Webhook-Signature") == "" || got.Trace.Received.Get("X-Answer") != "yes" {
		t.Fatalf("%+v", got.Trace)
	}
	if tr := got.Trace; tr.Reused || tr.Connect <= 0 || tr.TLS <= 0 || tr.Wait <= 0 || tr.DNS <= 0 || tr.Address != recv.Addr() {
		t.Errorf("%+v", tr)
	}
	got = send(t, s, r)
	if tr := got.Trace; tr == nil || !tr.Reused || tr.Connect != 0 || tr.TLS != 0 || tr.DNS != 0 || tr.Wait <= 0 {
		t.Errorf("%+v", tr)
	}
}

func TestCancelled(t *testing.T) {
	recv := harness.NewReceiver(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Hang: true})})
	s := newSender(t, recv.CA())
	ctx, cancel := context.WithCancel(t.Context())
	arrived := make(chan Result, 1)
	go func() { arrived <- s.Send(ctx, to(recv.URL(), "")) }()
	recv.Wait(1, 5*time.Second)
	cancel()
	if got := <-arrived; !got.Cancelled || got.Class != Other || got.ConnectFailed {
		t.Errorf("%+v", got)
	}
	if got := s.Send(ctx, to(recv.URL(), "")); !got.Cancelled || recv.Count() != 1 {
		t.Errorf("sent although cancelled: %+v", got)
	}
	go func() { arrived <- s.Send(t.Context(), to(recv.URL(), "")) }()
	recv.Wait(2, 5*time.Second)
	s.Close()
	if got := <-arrived; !got.Cancelled {
		t.Errorf("%+v", got)
	}
	if got := s.Send(t.Context(), to(recv.URL(), "")); !got.Cancelled {
		t.Errorf("after Close: %+v", got)
	}
}
