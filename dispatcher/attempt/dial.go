package attempt

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// fallbackDelay is how long an address is tried before the next one is tried beside it (RFC 8305).
const fallbackDelay = 300 * time.Millisecond

// maxAddresses is how many allowed addresses of one name are tried at most.
const maxAddresses = 16

// stage is how far making a connection has come.
type stage int32

const (
	stageNone stage = iota
	stageResolve
	stageConnect
	stageHandshake
)

// dialError is a failure to make a connection, with the stage it happened at.
type dialError struct {
	stage stage
	err   error
}

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// blockedError is a refusal by the policy: nothing was dialled.
type blockedError struct{ err error }

func (e *blockedError) Error() string { return e.err.Error() }
func (e *blockedError) Unwrap() error { return e.err }

// dialContext and dialTLSContext are the transport's. It starts them in goroutines of its own and does not end them with the request
// that wanted the connection; a connection that nobody waits for any more is kept for the next one. They end with the attempt's time, or
// with Close, which waits for them.

func (s *Sender) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	f := ctx.Value(flightKey{}).(*flight)
	ctx, done, err := s.dialing(ctx, f)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.connect(ctx, f, network, addr)
}

func (s *Sender) dialTLSContext(ctx context.Context, network, addr string) (net.Conn, error) {
	f := ctx.Value(flightKey{}).(*flight)
	ctx, done, err := s.dialing(ctx, f)
	if err != nil {
		return nil, err
	}
	defer done()
	raw, err := s.connect(ctx, f, network, addr)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(addr) // connect has split it
	settings := s.tls.Clone()
	settings.ServerName = host
	conn := tls.Client(raw, settings)
	began := f.enter(stageHandshake)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, &dialError{stageHandshake, err}
	}
	f.note(func(t *Trace) { t.TLS = time.Since(began) })
	return conn, nil
}

// dialing begins a dial for f.
func (s *Sender) dialing(ctx context.Context, f *flight) (context.Context, func(), error) {
	if !s.begin() {
		return nil, nil, context.Cause(s.base)
	}
	ctx, cancel := context.WithDeadlineCause(ctx, f.deadline, errTimeout)
	unlink := context.AfterFunc(s.base, cancel)
	return ctx, func() { unlink(); cancel(); s.work.Done() }, nil
}

// connect resolves the host of addr, drops the addresses that the policy refuses, and connects to one of the others. The address judged
// is the address dialled, so no second answer of the resolver can get between.
func (s *Sender) connect(ctx context.Context, f *flight, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &dialError{stageResolve, err}
	}
	began := f.enter(stageResolve)
	addresses, err := s.o.Resolve(ctx, host)
	if err != nil {
		return nil, &dialError{stageResolve, err}
	}
	f.note(func(t *Trace) { t.DNS = time.Since(began) })
	allowed := make([]string, 0, 4)
	var refusal error // the first
	for _, ip := range addresses {
		if len(allowed) == maxAddresses {
			break
		}
		if err := s.o.Policy.CheckIP(ip); err != nil {
			if refusal == nil && ip.String() != host {
				err = fmt.Errorf("%s does not resolve to an allowed address: %w", host, err)
			}
			refusal = cmp.Or(refusal, err)
			continue
		}
		allowed = append(allowed, net.JoinHostPort(ip.Unmap().String(), port))
	}
	if len(allowed) == 0 {
		if refusal == nil {
			return nil, &dialError{stageResolve, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}}
		}
		return nil, &blockedError{refusal}
	}
	began = f.enter(stageConnect)
	conn, err := s.race(ctx, network, allowed)
	if err != nil {
		return nil, &dialError{stageConnect, err}
	}
	f.note(func(t *Trace) { t.Connect = time.Since(began) })
	return conn, nil
}

// race connects to the first of the addresses that answers: in order, the next one as soon as one failed, or beside it after a while. It
// waits for all that it began. The error is that of the first address.
func (s *Sender) race(ctx context.Context, network string, addresses []string) (net.Conn, error) {
	if len(addresses) == 1 {
		return s.o.Dial(ctx, network, addresses[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result, len(addresses))
	begin := func(address string) {
		go func() {
			conn, err := s.o.Dial(ctx, network, address)
			results <- result{conn, err}
		}()
	}
	begin(addresses[0])
	begun, pending := 1, 1
	fallback := time.NewTimer(fallbackDelay)
	defer fallback.Stop()
	var winner net.Conn
	var first error
	for pending > 0 {
		var next bool
		select {
		case r := <-results:
			pending--
			switch {
			case r.err == nil && winner == nil:
				winner = r.conn
				cancel() // the others'; an established connection does not notice
			case r.err == nil:
				r.conn.Close()
			case first == nil:
				first = r.err
			}
			next = r.err != nil
		case <-fallback.C:
			next = true
		}
		if next && winner == nil && begun < len(addresses) && ctx.Err() == nil {
			begin(addresses[begun])
			begun++
			pending++
			fallback.Reset(fallbackDelay)
		}
	}
	cancel()
	if winner == nil {
		return nil, first
	}
	return winner, nil
}

// resolver is Go's own: it ends with the context and takes no thread a lookup, however many names hang.
var resolver = &net.Resolver{PreferGo: true}

// resolve looks a name up; a literal address answers for itself.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	return resolver.LookupNetIP(ctx, "ip", host)
}

// guardedDial is the real network's: it judges the address once more, at the socket.
func (s *Sender) guardedDial() func(context.Context, string, string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 30 * time.Second, ControlContext: s.control}
	return d.DialContext
}
