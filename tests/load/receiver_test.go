package load

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// receiver is an HTTPS server that does as little as possible, so that the measurement is of the
// sender. It notes when each event arrived and answers 200, or never under /hang/.
type receiver struct {
	ca   *harness.CA
	addr string

	mu       sync.Mutex
	arrived  map[string]time.Time // by Webhook-Id, the first time
	first    time.Time
	last     time.Time // the arrival of the latest new event
	requests int
	hanging  int
	most     int // the greatest number of requests that hung at once
	changed  chan struct{}
}

func newReceiver(b *testing.B) *receiver {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	r := &receiver{ca: harness.NewCA(b), addr: l.Addr().String(), arrived: map[string]time.Time{}, changed: make(chan struct{}, 1)}
	server := &http.Server{
		Handler: r, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{r.ca.Issue(b, harness.Leaf{})}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
	}
	var work sync.WaitGroup
	work.Go(func() { _ = server.ServeTLS(l, "", "") })
	b.Cleanup(func() {
		_ = server.Close()
		work.Wait()
	})
	return r
}

// ServeHTTP receives a delivery.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	now := time.Now()
	_, _ = io.Copy(io.Discard, req.Body)
	if strings.HasPrefix(req.URL.Path, "/hang/") {
		r.hang(req.Context())
		return
	}
	id := req.Header.Get("Webhook-Id")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if _, known := r.arrived[id]; known {
		return
	}
	if len(r.arrived) == 0 {
		r.first = now
	}
	r.arrived[id], r.last = now, now
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *receiver) hang(ctx context.Context) {
	r.mu.Lock()
	r.hanging++
	r.most = max(r.most, r.hanging)
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	r.hanging--
	r.mu.Unlock()
}

// reset forgets all arrivals.
func (r *receiver) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrived, r.requests, r.most = map[string]time.Time{}, 0, r.hanging
}

// events returns the number of different events that have arrived.
func (r *receiver) events() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.arrived)
}

// await waits until n different events have arrived and returns when the first and the last did.
func (r *receiver) await(b *testing.B, n int, within time.Duration) (first, last time.Time) {
	b.Helper()
	late := time.After(within)
	for {
		r.mu.Lock()
		got := len(r.arrived)
		first, last = r.first, r.last
		r.mu.Unlock()
		if got >= n {
			return first, last
		}
		select {
		case <-r.changed:
		case <-late:
			b.Fatalf("%d of %d events arrived within %v", got, n, within)
		}
	}
}

// at returns when an event arrived.
func (r *receiver) at(id string) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, found := r.arrived[id]
	return t, found
}
