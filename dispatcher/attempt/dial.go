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

// fallbackDelay is how long one address is tried alone before the next is tried in parallel
// (RFC 8305).
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

// dialError is a failure to make a connection, with the stage at which it happened.
type dialError struct {
	stage stage
	err   error
}

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// blockedError is a refusal by the policy: nothing was dialled. literal says that the URL names the
// address; otherwise a name resolved to it, and may resolve to another one the next time: a
// resolver errs, too.
type blockedError struct {
	err     error
	literal bool
}

func (e *blockedError) Error() string { return e.err.Error() }
func (e *blockedError) Unwrap() error { return e.err }

// dialContext and dialTLSContext are called by the transport, in goroutines of its own. The
// transport does not end a dial with the request that wanted the connection; it pools a connection
// that nobody waits for any more. A dial ends with the time of its attempt, or with Close, which
// waits for it.

func (s *Sender) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	a := ctx.Value(attemptStateKey{}).(*attemptState)
	ctx, done, err := s.startDial(ctx, a)
	if err != nil {
		return nil, err
	}
	defer done()
	return s.connect(ctx, a, network, addr)
}

func (s *Sender) dialTLSContext(ctx context.Context, network, addr string) (net.Conn, error) {
	a := ctx.Value(attemptStateKey{}).(*attemptState)
	ctx, done, err := s.startDial(ctx, a)
	if err != nil {
		return nil, err
	}
	defer done()
	raw, err := s.connect(ctx, a, network, addr)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(addr) // connect has split it without an error
	settings := s.tls.Clone()
	settings.ServerName = host
	conn := tls.Client(raw, settings)
	began := a.enterStage(stageHandshake)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, &dialError{stageHandshake, err}
	}
	a.updateTrace(func(t *Trace) { t.TLS = time.Since(began) })
	return conn, nil
}

// startDial begins a dial for an attempt. The caller must call the function returned.
func (s *Sender) startDial(ctx context.Context, a *attemptState) (context.Context, func(), error) {
	if !s.startWork() {
		return nil, nil, context.Cause(s.base)
	}
	ctx, cancel := context.WithDeadlineCause(ctx, a.deadline, errTimeout)
	unlink := context.AfterFunc(s.base, cancel)
	return ctx, func() { unlink(); cancel(); s.work.Done() }, nil
}

// connect resolves the host of addr, drops the addresses that the policy refuses, and connects to
// one of the others. It dials exactly the addresses that it checked, so a second response of the
// resolver cannot get in between (DNS rebinding).
//
// net.Dialer with ControlContext would not do. Its error is that of the first address, so a name
// with a refused and an unreachable address would be blocked for good instead of retried; and it
// tries the addresses of one family one after another, each for its share of the whole time.
func (s *Sender) connect(ctx context.Context, a *attemptState, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &dialError{stageResolve, err}
	}
	began := a.enterStage(stageResolve)
	addresses, err := s.options.Resolve(ctx, host)
	if err != nil {
		return nil, &dialError{stageResolve, err}
	}
	a.updateTrace(func(t *Trace) { t.DNS = time.Since(began) })
	_, notLiteral := netip.ParseAddr(host)
	allowed := make([]string, 0, 4)
	var refusal error // the first
	for _, ip := range addresses {
		if len(allowed) == maxAddresses {
			break
		}
		if err := s.options.Policy.CheckIP(ip); err != nil {
			if refusal == nil && notLiteral != nil {
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
		return nil, &blockedError{refusal, notLiteral == nil}
	}
	began = a.enterStage(stageConnect)
	conn, err := s.dialParallel(ctx, network, allowed)
	if err != nil {
		return nil, &dialError{stageConnect, err}
	}
	a.updateTrace(func(t *Trace) { t.Connect = time.Since(began) })
	return conn, nil
}

// dialParallel connects to the first of the addresses that accepts. It tries them in order: the
// next one as soon as one has failed, or in parallel after fallbackDelay. It waits for all dials
// that it began. The error is that of the first address that failed.
func (s *Sender) dialParallel(ctx context.Context, network string, addresses []string) (net.Conn, error) {
	if len(addresses) == 1 {
		return s.options.Dial(ctx, network, addresses[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result, len(addresses))
	dial := func(address string) {
		go func() {
			conn, err := s.options.Dial(ctx, network, address)
			results <- result{conn, err}
		}()
	}
	dial(addresses[0])
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
				cancel() // ends the other dials; an established connection is not affected
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
			dial(addresses[begun])
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

// resolver is Go's own: it ends with the context, and it takes no thread for each lookup, however
// many hang.
var resolver = &net.Resolver{PreferGo: true}

// resolve looks a name up. A literal address resolves to itself.
func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	return resolver.LookupNetIP(ctx, "ip", host)
}

// guardedDial returns the dial function of the real network. It checks each address once more, at
// the socket.
func (s *Sender) guardedDial() func(context.Context, string, string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: 30 * time.Second, ControlContext: s.checkSocket}
	return d.DialContext
}
