package caddymodule

// This file lets refusals arrive although the request's body is not read.
//
// A server that closes a connection while the client still sends makes the client's kernel drop
// what the server had answered. Proxies in front (nginx, Apache, Varnish, h2o) then report a bad
// gateway instead of the 401. So a refused body is read and dropped after the answer was sent,
// within these bounds: discardBytes and discardTime for each request, and discardSlots, discardRate
// and discardBurst for the process, so that strangers cannot make it read without end. A body
// beyond the bounds is cut off as before.
//
// A client that sent Expect: 100-continue waits for permission to send its body. It gets the
// refusal instead and never sends the body. net/http would do the same by itself, but Caddy wraps
// the body for read_idle_timeout, which hides from net/http that nobody has read it.
//
// HTTP/2 and HTTP/3 end a stream without these problems.

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	discardBytes = 32 << 20
	discardTime  = 5 * time.Second
	// discardTimeBefore is discardTime where others write the answer, which waits for it.
	discardTimeBefore = 2 * time.Second

	discardSlots = 256      // bodies at the same time
	discardRate  = 64 << 20 // bytes a second, after the burst
	discardBurst = 1 << 30  // bytes

	// lingerTime is how long a connection stays open after a refusal to a client that was told not
	// to send its body.
	lingerTime = time.Second
)

var (
	discardSlot  = make(chan struct{}, discardSlots)
	discardLimit = rate.NewLimiter(discardRate, discardBurst)
	discardPool  = sync.Pool{New: func() any { return new([32 << 10]byte) }}
)

// unreadBody is the body of a refused request. It is nil if there is nothing to care for.
type unreadBody struct {
	request  *http.Request
	control  *http.ResponseController
	expected bool // the client waits for 100 Continue
}

// unreadBodyOf prepares the answer to a refused request. It must be called before the header is
// written.
func unreadBodyOf(w http.ResponseWriter, r *http.Request) *unreadBody {
	if r.ProtoMajor != 1 || r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	b := &unreadBody{request: r, control: http.NewResponseController(w)}
	if r.ProtoAtLeast(1, 1) && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		b.expected = true
		w.Header().Set("Connection", "close") // net/http leaves the body alone then
		return b
	}
	// Without full duplex, net/http reads a part of the body before it writes the header, and waits
	// for slow clients to send it.
	if b.control.EnableFullDuplex() != nil {
		return nil
	}
	if r.ContentLength < 0 || r.ContentLength > discardBytes {
		w.Header().Set("Connection", "close")
	}
	return b
}

// discardAfterAnswer is called once the answer was written.
func (b *unreadBody) discardAfterAnswer() {
	switch {
	case b == nil:
	case b.expected:
		b.linger()
	case b.control.Flush() == nil:
		b.discard(discardTime)
	}
}

// discardBeforeAnswer is called if others write the answer.
func (b *unreadBody) discardBeforeAnswer() {
	switch {
	case b == nil:
	case b.expected:
		b.linger()
	default:
		b.discard(discardTimeBefore)
	}
}

// linger bounds the wait of net/http for a body that does not come, which begins after the answer.
func (b *unreadBody) linger() { _ = b.control.SetReadDeadline(time.Now().Add(lingerTime)) }

// discard reads and drops the body, within the bounds.
func (b *unreadBody) discard(within time.Duration) {
	select {
	case discardSlot <- struct{}{}:
		defer func() { <-discardSlot }()
	default:
		return
	}
	// Caddy keeps its own, shorter deadlines below this one.
	if b.control.SetReadDeadline(time.Now().Add(within)) != nil {
		return
	}
	buffer := discardPool.Get().(*[32 << 10]byte)
	defer discardPool.Put(buffer)
	for left := discardBytes; left > 0; {
		n, err := b.request.Body.Read(buffer[:])
		if err != nil || !discardLimit.AllowN(time.Now(), n) {
			break
		}
		left -= n
	}
	_ = b.control.SetReadDeadline(time.Time{})
}
