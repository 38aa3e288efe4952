package store

// This file keeps track of every open connection, so that all of them can be dropped at once: go-redis has no way to empty its pool, and a
// server that turned into a replica keeps the connections it has and goes on answering reads. And it keeps the Cluster client from sending
// a command again whose answer was lost, since it may have been carried out: go-redis does so on its own count of redirections, whatever
// MaxRetries says, unless it does not recognize the error.

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

// connections is the set of open connections of a Store. Invariant: a connection is in open from its dial to its Close.
type connections struct {
	tls      *tlsFiles // nil: plain
	sentOnce bool      // hide what happens to connections from go-redis

	mu   sync.Mutex
	open map[*connection]struct{}
}

type connection struct {
	net.Conn
	all *connections
}

// A plainConnection lets go-redis look, before it uses an idle connection, whether the other end has closed it. Below TLS that cannot be
// seen: what waits there may be TLS' own.
type plainConnection struct {
	*connection
	syscall.Conn
}

// lost is an error after which a command may have been carried out, in a form that go-redis does not recognize.
type lost struct{ cause error }

func (l *lost) Error() string { return l.cause.Error() }

// reveal undoes what hide did to an error on its way through go-redis.
func reveal(err error) error {
	if l, ok := errors.AsType[*lost](err); ok {
		return l.cause
	}
	return err
}

func (c *connection) hide(err error) error {
	if err == nil || !c.all.sentOnce {
		return err
	}
	return &lost{err}
}

// Read reads; see lost.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.hide(err)
}

// Write writes; see lost.
func (c *connection) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, c.hide(err)
}

// Close closes the connection and takes it off the list.
func (c *connection) Close() error {
	c.all.mu.Lock()
	delete(c.all.open, c)
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// dial is what go-redis dials with. Unlike go-redis' own it heeds ctx during the handshake, and it verifies the host that is dialled.
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

// drop closes every connection. Commands in flight fail; the next ones dial anew.
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
