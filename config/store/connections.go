package store

// This file keeps track of every open connection, so that all of them can be dropped at once: go-redis has no way to empty its pool, and a
// server that turned into a replica keeps the connections it has and goes on answering reads.

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// DialTimeout bounds a dial, the TLS handshake included.
const dialTimeout = time.Second

// Connections is the set of open connections of a Store. Invariant: a connection is in open from its dial to its Close.
type connections struct {
	tls *tls.Config

	mu   sync.Mutex
	open map[*connection]struct{}
}

type connection struct {
	net.Conn
	all *connections
}

// Close closes the connection and takes it off the list.
func (c *connection) Close() error {
	c.all.mu.Lock()
	delete(c.all.open, c)
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// Dial is what go-redis dials with. Unlike go-redis' own it heeds ctx during the handshake, and it verifies the host that is dialled.
func (cs *connections) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if cs.tls != nil {
		conf := cs.tls.Clone()
		if host, _, err := net.SplitHostPort(addr); err == nil {
			conf.ServerName = host
		}
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
	return c, nil
}

// Drop closes every connection. Commands in flight fail; the next ones dial anew.
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
