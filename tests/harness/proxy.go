package harness

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy passes TCP connections on to a target, and can trouble them as networks do. A new one passes everything.
type Proxy struct {
	listener net.Listener
	work     sync.WaitGroup // the accepting goroutine and two for each connection

	mu       sync.Mutex
	target   string
	cut      bool
	closed   bool
	requests gate // client to target
	answers  gate // target to client
	pairs    map[*pair]struct{}
	accepted int
}

// gate holds bytes back while it is shut: open is closed where bytes may pass.
type gate struct{ open chan struct{} }

func (g *gate) set(open bool) {
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

// pair is a client's connection and the one that it is passed on to.
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
				_ = tcp.SetLinger(0) // a reset, as of a connection that broke
			}
			_ = c.Close()
		}
	})
}

// StartProxy starts a proxy on a free port before target, a host:port.
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

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Accepted is how many connections clients have opened.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// SetTarget has new connections passed on to another target.
func (p *Proxy) SetTarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Mute lets nothing pass any more, either way, and tells nobody: connections stand, new ones are accepted, what is sent is taken. As
// after a partition of a real network, what was sent arrives late if the connection still stands at Heal.
func (p *Proxy) Mute() { p.gates(false, false) }

// MuteAnswers lets requests through and holds the answers back: what a lost answer is like once Cut follows.
func (p *Proxy) MuteAnswers() { p.gates(true, false) }

// MuteConnections silences the connections that stand now for good; new ones pass everything.
func (p *Proxy) MuteConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		pair.mute.Store(true)
	}
}

func (p *Proxy) gates(requests, answers bool) {
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

// CutConnections resets the connections that stand now; new ones pass.
func (p *Proxy) CutConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pair := range p.pairs {
		pair.close()
	}
}

// Heal lets everything pass again.
func (p *Proxy) Heal() {
	p.mu.Lock()
	p.cut = false
	p.mu.Unlock()
	p.gates(true, true)
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

func (p *Proxy) pump(pr *pair, to, from net.Conn, g *gate) {
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
