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

	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
)

// MaxTimeout bounds a whole attempt (specification.md, section 6): resolving, connecting, sending,
// the response, and reading its body.
const MaxTimeout = 30 * time.Second

// Bounds of pools and caches.
const (
	maxIdle        = 4096             // as many as there are attempts in flight by default
	maxIdlePerHost = 2048             // of one host: many organizations may use one service
	idleTimeout    = 60 * time.Second // of a pooled connection
	maxHeaderBytes = 64 << 10         // of a response
	maxTLSSessions = 1024             // TLS sessions to resume
	maxTargets     = 4096             // checked URLs with their keyed hashes
)

var (
	errTimeout = errors.New("the attempt's time is over")
	errClosed  = errors.New("the sender is closed")
)

// Options configure a Sender.
type Options struct {
	Policy  *address.Policy // which addresses may be dialled; nil is the strictest policy
	RootCAs *x509.CertPool  // nil: the system's
	Timeout time.Duration   // of a whole attempt; 0: MaxTimeout
	Version string          // of this program, for the User-Agent header

	// Resolve and Dial replace the network in tests; nil is the real one. Dial gets only addresses
	// that the policy allows.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock of Webhook-Timestamp and of certificates; nil is time.Now.
	Now func() time.Time
}

// Sender makes attempts. It pools connections and is safe for concurrent use.
type Sender struct {
	options   Options
	userAgent string
	tls       *tls.Config
	pooled    *http.Transport // pools connections
	noReuse   *http.Transport // never uses a pooled one
	targets   *lru.Cache[targetKey, *target]
	drains    drains

	base context.Context // ends with Close
	stop context.CancelCauseFunc

	mu     sync.Mutex // guards closed, and orders work.Add before work.Wait
	closed bool
	work   sync.WaitGroup // dials and drains
}

// targetKey identifies a target: webhooks with the same URL and secret share one.
type targetKey struct{ url, secret string }

// target is the URL of a webhook, checked by the policy, with the signers of its secret.
type target struct {
	url     *url.URL
	err     error     // why the policy refuses the URL
	signers sync.Pool // of *signer; unused without a secret
}

// NewSender returns a Sender. The caller must close it.
func NewSender(o Options) *Sender {
	s := &Sender{options: o, userAgent: "Tenzo-Webhooks/" + o.Version}
	s.base, s.stop = context.WithCancelCause(context.Background())
	s.targets, _ = lru.New[targetKey, *target](maxTargets) // fails only for a size below 1
	if s.options.Timeout == 0 {
		s.options.Timeout = MaxTimeout
	}
	if s.options.Now == nil {
		s.options.Now = time.Now
	}
	if s.options.Resolve == nil {
		s.options.Resolve = resolve
	}
	if s.options.Dial == nil {
		s.options.Dial = s.guardedDial()
	}
	s.tls = &tls.Config{
		RootCAs:    o.RootCAs,
		MinVersion: tls.VersionTLS12,
		// A request is written in one record, hence with one system call.
		DynamicRecordSizingDisabled: true,
		NextProtos:                  []string{"http/1.1"},
		ClientSessionCache:          tls.NewLRUClientSessionCache(maxTLSSessions),
		Time:                        s.options.Now,
	}
	s.pooled, s.noReuse = s.transport(), s.transport()
	s.noReuse.DisableKeepAlives = true
	return s
}

// transport returns a transport that speaks HTTP/1.1: with one connection for each attempt, none
// waits for another. It uses no proxy: the check of addresses would see only the proxy.
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
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
	}
}

// startWork counts a goroutine that Close must wait for. It returns false after Close.
func (s *Sender) startWork() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

// Close ends the attempts in flight as cancelled, closes all pooled connections, and waits for its
// goroutines.
func (s *Sender) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop(errClosed)
	s.pooled.CloseIdleConnections()
	s.noReuse.CloseIdleConnections()
	s.work.Wait()
}

// resolveTarget parses the URL of a webhook and checks it against the policy. It caches the result.
func (s *Sender) resolveTarget(w webhook.Webhook) *target {
	at := targetKey{w.URL, w.Secret.Reveal()}
	if t, found := s.targets.Get(at); found {
		return t
	}
	t := &target{err: s.options.Policy.CheckURL(w.URL)}
	if t.err == nil {
		var err error
		if t.url, err = url.Parse(w.URL); err != nil {
			t.err = errors.New("the webhook's URL cannot be parsed") // url.Error has the URL in it
		}
	}
	t.signers.New = func() any { return newSigner(at.secret) }
	s.targets.Add(at, t)
	return t
}

// checkSocket refuses, at the socket, an address that the policy refuses.
func (s *Sender) checkSocket(_ context.Context, _, addr string, _ syscall.RawConn) error {
	ip, err := netip.ParseAddrPort(addr)
	if err != nil {
		return fmt.Errorf("dialling: %w", err)
	}
	if err := s.options.Policy.CheckIP(ip.Addr()); err != nil {
		return &blockedError{err: err}
	}
	return nil
}
