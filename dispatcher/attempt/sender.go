package attempt

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/address"
)

// DefaultTimeout bounds a whole attempt: resolving, connecting, sending, the answer and what is read of its body.
const DefaultTimeout = 30 * time.Second

// Options is what a Sender needs.
type Options struct {
	Policy  *address.Policy // which addresses may be dialled; nil is the strictest
	RootCAs *x509.CertPool  // nil: the system's
	Timeout time.Duration   // of a whole attempt; 0: DefaultTimeout
	Version string          // of this program, for User-Agent

	// Resolve and Dial stand in for the network in tests; nil is the real one.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is the clock of Webhook-Timestamp and of certificates; nil is time.Now.
	Now func() time.Time
}

// Sender makes attempts. It keeps connections and is safe for concurrent use.
type Sender struct{ o Options }

// NewSender returns a Sender. Close it.
func NewSender(o Options) *Sender { return &Sender{o} }

// Send makes one attempt and returns as soon as the status has arrived. It returns within the timeout, or soon after ctx ends.
func (s *Sender) Send(ctx context.Context, r Request) Result {
	return Result{Class: Other, Error: "not built yet"}
}

// Close gives up what still goes on and closes every kept connection. Call it when no Send is under way.
func (s *Sender) Close() {}
