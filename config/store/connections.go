package store

// This file keeps track of every open connection, so that all of them can be closed at once:
// go-redis cannot empty its pool, and a server that became a replica keeps its connections and goes
// on answering reads.
//
// It also keeps the Cluster client from repeating a command whose reply was lost, since Redis may
// have executed it. go-redis repeats such commands as it follows redirections, whatever MaxRetries
// says, unless it does not recognize the error. So errors of connections are masked from it.

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// dialTimeout bounds a dial, the TLS handshake included.
const dialTimeout = time.Second

// connections is the set of open connections of a Store. Invariant: a connection is in open from
// its dial to its Close.
type connections struct {
	tls        *tlsFiles // nil: plain
	maskErrors bool      // from go-redis

	mu   sync.Mutex
	open map[*connection]struct{}
}

type connection struct {
	net.Conn
	all *connections
}

// A plainConnection lets go-redis check, before it uses an idle connection, whether the other end
// has closed it. That is impossible below TLS: bytes that wait there may be TLS's own.
type plainConnection struct {
	*connection
	syscall.Conn
}

// maskedError is an error after which Redis may have executed a command, in a form that go-redis
// does not recognize.
type maskedError struct{ cause error }

func (m *maskedError) Error() string { return m.cause.Error() }

// unmask returns the error that mask wrapped, once it has passed through go-redis.
func unmask(err error) error {
	if m, ok := errors.AsType[*maskedError](err); ok {
		return m.cause
	}
	return err
}

func (c *connection) mask(err error) error {
	if err == nil || !c.all.maskErrors {
		return err
	}
	return &maskedError{err}
}

// Read reads; see maskedError.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.mask(err)
}

// Write writes; see maskedError.
func (c *connection) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.mask(err)
}

// Close closes the connection and removes it from the set.
func (c *connection) Close() error {
	c.all.mu.Lock()
	delete(c.all.open, c)
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// dial dials for go-redis. Unlike the dialer of go-redis it heeds ctx during the handshake, and
// verifies the host that is dialled.
func (cs *connections) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var conf *tls.Config
	if cs.tls != nil {
		server, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		if conf, err = cs.tls.read(server); err != nil {
			return nil, err
		}
	}
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if conf != nil {
		secured := tls.Client(conn, conf)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secured
	}
	c := &connection{Conn: conn, all: cs}
	cs.mu.Lock()
	cs.open[c] = struct{}{}
	cs.mu.Unlock()
	if raw, ok := conn.(syscall.Conn); ok {
		return plainConnection{connection: c, Conn: raw}, nil
	}
	return c, nil
}

// drop closes every connection. Commands in flight fail; later ones dial again.
func (cs *connections) drop() {
	cs.mu.Lock()
	all := make([]*connection, 0, len(cs.open))
	for c := range cs.open {
		all = append(all, c)
	}
	cs.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
}
