package keyauth

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// This file slows down clients that send many keys which nobody has.
//
// A client has a bucket of reads. A read that ends in "unknown" takes one out, any other costs nothing. Which it will be is known only
// afterwards, so a read sets one aside; a request that finds all of them set aside waits until one of the client's reads has ended, rather
// than be refused: behind one address there may be many good keys that were all used for the first time at once.
//
// Invariant, under the limiter's lock: reading never exceeds what the bucket held when each of these reads began, and who waits does so only
// while reading is positive.

// maxClients is how many clients are remembered; the least recently seen are forgotten, and start anew.
const maxClients = 16384

type limiter struct {
	clock *clock

	mu      sync.Mutex
	clients *simplelru.LRU[netip.Prefix, *client]
}

// client is who shares a bucket: an IPv4 address, or an IPv6 network of 64 bits.
type client struct {
	bucket  *rate.Limiter
	reading int       // reads that have set one aside
	waiting []*ticket // first come, first served
}

// ticket is a request's way through the limiter.
type ticket struct {
	limiter *limiter
	client  *client
	called  chan bool // true: read; false: there is nothing left to wait for
}

func newLimiter(c *clock) *limiter {
	clients, err := simplelru.NewLRU[netip.Prefix, *client](maxClients, nil)
	if err != nil {
		panic(err) // maxClients is positive
	}
	return &limiter{clock: c, clients: clients}
}

// bucketOf is whom an address counts as. What is no address shares one bucket.
func bucketOf(clientIP string) netip.Prefix {
	addr, err := netip.ParseAddr(clientIP)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// enter lets a request of this client read, or refuses it. Whoever gets a ticket must leave.
func (l *limiter) enter(ctx context.Context, clientIP string, s *settings) (*ticket, *Refusal) {
	who := bucketOf(clientIP)
	t := &ticket{limiter: l, called: make(chan bool, 1)}
	l.mu.Lock()
	c, ok := l.clients.Get(who)
	if !ok {
		c = &client{bucket: rate.NewLimiter(s.unknownRate, s.unknownBurst)}
		l.clients.Add(who, c)
	}
	t.client = c
	now := l.now()
	if c.bucket.Limit() != s.unknownRate || c.bucket.Burst() != s.unknownBurst {
		c.bucket.SetLimitAt(now, s.unknownRate)
		c.bucket.SetBurstAt(now, s.unknownBurst)
	}
	switch {
	case len(c.waiting) == 0 && c.free(now):
		c.reading++
		l.mu.Unlock()
		return t, nil
	case c.reading == 0:
		defer l.mu.Unlock()
		return nil, c.refuse(now)
	}
	c.waiting = append(c.waiting, t)
	l.mu.Unlock()
	return t.wait(ctx)
}

// wait waits until the request is called, and as long as a read still makes sense before ctx ends.
func (t *ticket) wait(ctx context.Context) (*ticket, *Refusal) {
	deadline, _ := ctx.Deadline()
	timer := time.NewTimer(time.Until(deadline) - leastTime)
	defer timer.Stop()
	var read, called bool
	select {
	case read = <-t.called:
		called = true
	case <-timer.C:
	case <-ctx.Done():
	}
	l := t.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if !called {
		select {
		case read = <-t.called: // just now
		default:
			for i, w := range t.client.waiting {
				if w == t {
					t.client.waiting = append(t.client.waiting[:i:i], t.client.waiting[i+1:]...)
					break
				}
			}
			return nil, refuseUnavailable
		}
	}
	if !read {
		return nil, t.client.refuse(l.now())
	}
	return t, nil
}

// leave ends the read and says whether it ended in "unknown". A nil ticket is that of a request which needed none.
func (t *ticket) leave(unknown bool) {
	if t == nil {
		return
	}
	l, c := t.limiter, t.client
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	c.reading--
	if unknown {
		c.bucket.AllowN(now, 1)
	}
	for len(c.waiting) > 0 && (c.reading == 0 || c.free(now)) {
		read := c.free(now)
		if read {
			c.reading++
		}
		c.waiting[0].called <- read
		c.waiting = c.waiting[1:]
	}
}

// free says whether a read can be set aside.
func (c *client) free(now time.Time) bool { return c.bucket.TokensAt(now) >= float64(c.reading+1) }

// refuse says when the next read is free.
func (c *client) refuse(now time.Time) *Refusal {
	missing := float64(c.reading+1) - c.bucket.TokensAt(now)
	return refuseTooMany(time.Duration(missing / float64(c.bucket.Limit()) * float64(time.Second)))
}

// now is the age clock as a time, since rate counts in those.
func (l *limiter) now() time.Time { return time.Unix(0, l.clock.now().age) }
