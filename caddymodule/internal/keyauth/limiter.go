package keyauth

// This file slows down clients that send many unknown keys.
//
// A client has a token bucket. A read that ends in "unknown" takes a token; any other read costs
// nothing. How a read ends is known only afterwards, so each read reserves a token. A request that
// finds all tokens reserved waits until one of the client's reads has ended, instead of being
// refused: behind one address there may be many valid keys that are used for the first time at
// once.
//
// Invariant, under the limiter's lock: the reservations never exceed the tokens that the bucket
// held when each of them was made, and a request waits only while there are reservations.

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/tenzo-ai/tenzo-gateway/config/cache"
)

// maxClients is how many clients are remembered. The least recently seen client is forgotten, and
// starts again with a full bucket.
const maxClients = 16384

type limiter struct {
	clock *cache.Clock

	mu      sync.Mutex
	clients *simplelru.LRU[netip.Prefix, *client]
}

// client is who shares a bucket: an IPv4 address, or an IPv6 network of 64 bits.
type client struct {
	bucket   *rate.Limiter
	reserved int            // reservations, one for each read in flight
	waiting  []*reservation // first come, first served
}

// reservation is a token that is set aside for one read, or the wait for it.
type reservation struct {
	limiter *limiter
	client  *client
	granted chan bool // true: read; false: no token is left, and none is reserved
}

func newLimiter(c *cache.Clock) *limiter {
	clients, err := simplelru.NewLRU[netip.Prefix, *client](maxClients, nil)
	if err != nil {
		panic(err) // maxClients is positive
	}
	return &limiter{clock: c, clients: clients}
}

// clientPrefix returns the network that an address counts as. Everything that is no address counts
// as one client.
func clientPrefix(clientIP string) netip.Prefix {
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

// acquire reserves a token for a read of this client, or refuses. The caller must release the
// reservation.
func (l *limiter) acquire(ctx context.Context, clientIP string, s *settings) (*reservation, *Refusal) {
	prefix := clientPrefix(clientIP)
	res := &reservation{limiter: l, granted: make(chan bool, 1)}
	l.mu.Lock()
	c, ok := l.clients.Get(prefix)
	if !ok {
		c = &client{bucket: rate.NewLimiter(s.unknownRate, s.unknownBurst)}
		l.clients.Add(prefix, c)
	}
	res.client = c
	now := l.now()
	if c.bucket.Limit() != s.unknownRate || c.bucket.Burst() != s.unknownBurst {
		c.bucket.SetLimitAt(now, s.unknownRate)
		c.bucket.SetBurstAt(now, s.unknownBurst)
	}
	switch {
	case len(c.waiting) == 0 && c.hasToken(now):
		c.reserved++
		l.mu.Unlock()
		return res, nil
	case c.reserved == 0:
		defer l.mu.Unlock()
		return nil, c.refuse(now)
	}
	c.waiting = append(c.waiting, res)
	l.mu.Unlock()
	return res.wait(ctx)
}

// wait waits for the token, for as long as a read would still have minReadTime before ctx ends.
func (res *reservation) wait(ctx context.Context) (*reservation, *Refusal) {
	deadline, _ := ctx.Deadline()
	timer := time.NewTimer(time.Until(deadline) - minReadTime)
	defer timer.Stop()
	var read, decided bool
	select {
	case read = <-res.granted:
		decided = true
	case <-timer.C:
	case <-ctx.Done():
	}
	l := res.limiter
	l.mu.Lock()
	defer l.mu.Unlock()
	if !decided {
		select {
		case read = <-res.granted: // just now
		default:
			for i, w := range res.client.waiting {
				if w == res {
					res.client.waiting = append(res.client.waiting[:i:i], res.client.waiting[i+1:]...)
					break
				}
			}
			return nil, refuseUnavailable
		}
	}
	if !read {
		return nil, res.client.refuse(l.now())
	}
	return res, nil
}

// release ends the read. If it ended in "unknown", its token is spent. A nil reservation is that of
// a request that needed none.
func (res *reservation) release(unknown bool) {
	if res == nil {
		return
	}
	l, c := res.limiter, res.client
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	c.reserved--
	if unknown {
		c.bucket.AllowN(now, 1)
	}
	for len(c.waiting) > 0 && (c.reserved == 0 || c.hasToken(now)) {
		read := c.hasToken(now)
		if read {
			c.reserved++
		}
		c.waiting[0].granted <- read
		c.waiting = c.waiting[1:]
	}
}

// hasToken reports whether a token can be reserved.
func (c *client) hasToken(now time.Time) bool {
	return c.bucket.TokensAt(now) >= float64(c.reserved+1)
}

// refuse returns the refusal, which says when the next token comes.
func (c *client) refuse(now time.Time) *Refusal {
	missing := float64(c.reserved+1) - c.bucket.TokensAt(now)
	return refuseTooMany(time.Duration(missing / float64(c.bucket.Limit()) * float64(time.Second)))
}

// now is the age clock as a time, which package rate expects.
func (l *limiter) now() time.Time { return time.Unix(0, l.clock.Now().Age) }
