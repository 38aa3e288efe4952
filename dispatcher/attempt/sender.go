package attempt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/address"
)

// MaxTimeout bounds a whole attempt (specification.md, section 6): resolving, connecting, sending, the answer and what is read of its body.
const MaxTimeout = 30 * time.Second

// Bounds of what is kept.
const (
	maxIdle        = 4096             // kept connections: as many as there are attempts in flight by default
	maxIdleAHost   = 2048             // of one host: many organizations may receive through one service
	idleTimeout    = 60 * time.Second // of a kept connection
	maxHeaderBytes = 64 << 10         // of an answer
	keptSessions   = 1024             // TLS sessions to resume
	keptTargets    = 4096             // judged URLs and keyed hashes
)

var (
	errTimeout = errors.New("the attempt's time is over")
	errClosed  = errors.New("the sender is closed")
)

// Options is what a Sender needs.
type Options struct {
	Policy  *address.Policy // which addresses may be dialled; nil is the strictest
	RootCAs *x509.CertPool  // nil: the system's
	Timeout time.Duration   // of a whole attempt; 0: MaxTimeout
	Version string          // of this program, for User-Agent

	// Resolve and Dial stand in for the network in tests; nil is the real one. Dial gets only allowed addresses.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock of Webhook-Timestamp and of certificates; nil is time.Now.
	Now func() time.Time
}

// Sender makes attempts. It keeps connections and is safe for concurrent use.
type Sender struct {
	o         Options
	userAgent string
	tls       *tls.Config
	kept      *http.Transport // keeps connections
	fresh     *http.Transport // never uses a kept one
	targets   *lru.Cache[place, *target]
	drains    drains

	base context.Context // ends with Close
	stop context.CancelCauseFunc

	mu     sync.Mutex // guards closed, and work.Add against work.Wait
	closed bool
	work   sync.WaitGroup // dials and drains
}

// place is what webhooks may have in common.
type place struct{ url, secret string }

// target is where a webhook leads, judged, and what signs for it.
type target struct {
	url     *url.URL
	err     error     // why the policy refuses it
	signers sync.Pool // of *signer; unused without a secret
}

// NewSender returns a Sender. Close it.
func NewSender(o Options) *Sender {
	s := &Sender{o: o, userAgent: "Tenzo-Webhooks/" + o.Version}
	s.base, s.stop = context.WithCancelCause(context.Background())
	s.targets, _ = lru.New[place, *target](keptTargets) // fails for a size below 1 only
	if s.o.Timeout == 0 {
		s.o.Timeout = MaxTimeout
	}
	if s.o.Now == nil {
		s.o.Now = time.Now
	}
	if s.o.Resolve == nil {
		s.o.Resolve = resolve
	}
	if s.o.Dial == nil {
		s.o.Dial = s.guardedDial()
	}
	s.tls = &tls.Config{
		RootCAs:    o.RootCAs,
		MinVersion: tls.VersionTLS12,
		// A request is written in one record, so with one system call.
		DynamicRecordSizingDisabled: true,
		NextProtos:                  []string{"http/1.1"},
		ClientSessionCache:          tls.NewLRUClientSessionCache(keptSessions),
		Time:                        s.o.Now,
	}
	s.kept, s.fresh = s.transport(), s.transport()
	s.fresh.DisableKeepAlives = true
	return s
}

// transport speaks HTTP/1.1: one connection an attempt, so that none waits behind another's. No proxy: the dial guard would see only that.
func (s *Sender) transport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            s.dialContext,
		DialTLSContext:         s.dialTLSContext,
		Protocols:              &protocols,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdleAHost,
		IdleConnTimeout:        idleTimeout,
	}
}

// begin counts a goroutine that Close has to wait for; false where Close was called.
func (s *Sender) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

// Close gives up what still goes on, closes every kept connection, and waits for what it owns. Attempts under way end as cancelled.
func (s *Sender) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop(errClosed)
	s.kept.CloseIdleConnections()
	s.fresh.CloseIdleConnections()
	s.work.Wait()
}

// judge parses a webhook's URL and asks the policy.
func (s *Sender) judge(w config.Webhook) *target {
	at := place{w.URL, w.Secret.Reveal()}
	if t, found := s.targets.Get(at); found {
		return t
	}
	t := &target{err: s.o.Policy.CheckURL(w.URL)}
	if t.err == nil {
		var err error
		if t.url, err = url.Parse(w.URL); err != nil {
			t.err = errors.New("the webhook's URL cannot be read") // url.Error holds the URL
		}
	}
	t.signers.New = func() any { return newSigner(at.secret) }
	s.targets.Add(at, t)
	return t
}

// control refuses, at the socket, what the policy refuses.
func (s *Sender) control(_ context.Context, _, addr string, _ syscall.RawConn) error {
	ip, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("dialling: %w", err)
	}
	if err := s.o.Policy.CheckIP(ip.Addr()); err != nil {
		return &blockedError{err}
	}
	return nil
}
