package harness

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy forwards TCP connections to a target, and can disturb them as networks do. A new proxy
// forwards everything.
type Proxy struct {
	listener net.Listener
	work     sync.WaitGroup // the accepting goroutine and two for each connection

	mu       sync.Mutex
	target   string
	cut      bool
	closed   bool
	requests barrier // client to target
	answers  barrier // target to client
	pairs    map[*pair]struct{}
	accepted int
}

// barrier holds bytes back while it is shut. open is closed when bytes may pass.
type barrier struct{ open chan struct{} }

func (g *barrier) set(open bool) {
	isOpen := false
	select {
	case <-g.open:
		isOpen = true
	default:
	}
	switch {
	case open && !isOpen:
		close(g.open)
	case !open && isOpen:
		g.open = make(chan struct{})
	}
}

// pair is a client's connection and its connection to the target.
type pair struct {
	client, target net.Conn
	gone           chan struct{}
	once           sync.Once
	mute           atomic.Bool // for good
}

func (p *pair) close() {
	p.once.Do(func() {
		close(p.gone)
		for _, c := range []net.Conn{p.client, p.target} {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // a reset, as of a broken connection
			}
			_ = c.Close()
		}
	})
}

// StartProxy starts a proxy on a free port in front of target, a host:port.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, pairs: map[*pair]struct{}{}}
	p.requests.open, p.answers.open = make(chan struct{}), make(chan struct{})
	p.requests.set(true)
	p.answers.set(true)
	p.work.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr returns the address on which the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Accepted returns the number of connections that clients have opened.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// SetTarget forwards new connections to another target.
func (p *Proxy) SetTarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Mute blackholes both directions: connections stay open, new ones are accepted, and bytes are
// taken but not forwarded. As after a network partition, they arrive late if the connection is
// still open at Heal.
func (p *Proxy) Mute() { p.setBarriers(false, false) }

// MuteAnswers forwards requests and holds answers back. Followed by Cut, the answers are lost.
func (p *Proxy) MuteAnswers() { p.setBarriers(true, false) }

// MuteConnections blackholes the present connections for good. New ones work.
func (p *Proxy) MuteConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		pair.mute.Store(true)
	}
}

func (p *Proxy) setBarriers(requests, answers bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests.set(requests)
	p.answers.set(answers)
}

// Cut resets every connection, and each new one as soon as it is accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	p.cut = true
	p.mu.Unlock()
	p.CutConnections()
}

// CutConnections resets the present connections. New ones work.
func (p *Proxy) CutConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		pair.close()
	}
}

// Heal forwards everything again.
func (p *Proxy) Heal() {
	p.mu.Lock()
	p.cut = false
	p.mu.Unlock()
	p.setBarriers(true, true)
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.CutConnections()
	p.work.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.pass(client)
	}
}

func (p *Proxy) pass(client net.Conn) {
	p.mu.Lock()
	p.accepted++
	cut, to := p.cut, p.target
	p.mu.Unlock()
	pr := &pair{client: client, gone: make(chan struct{})}
	if cut {
		pr.target = client
		pr.close()
		return
	}
	target, err := net.Dial("tcp", to)
	if err != nil {
		pr.target = client
		pr.close()
		return
	}
	pr.target = target
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		pr.close()
		return
	}
	p.pairs[pr] = struct{}{}
	p.work.Go(func() { p.pump(pr, target, client, &p.requests) })
	p.work.Go(func() { p.pump(pr, client, target, &p.answers) })
}

func (p *Proxy) pump(pr *pair, to, from net.Conn, g *barrier) {
	defer func() {
		pr.close()
		p.mu.Lock()
		delete(p.pairs, pr)
		p.mu.Unlock()
	}()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		for passed := false; !passed; {
			p.mu.Lock()
			open := g.open
			p.mu.Unlock()
			select {
			case <-open:
				passed = true
			case <-pr.gone:
				return
			}
		}
		if pr.mute.Load() {
			<-pr.gone
			return
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
