package harness

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// ReceiverOptions describe a receiver. The zero value is an HTTPS server on a free port with a
// certificate of a CA of its own that answers 200 to everything.
type ReceiverOptions struct {
	CA     *CA                      // the authority to use; a new one if nil
	Leaf   Leaf                     // describes its certificate
	Plain  bool                     // http instead of https
	HTTP2  bool                     // offer HTTP/2 too
	Answer func(r *Received) Answer // returns the answer; called concurrently; 200 if nil
	Forget bool                     // count requests without keeping them
	Record func(r *Received)        // called with each request before it is answered; may be nil
}

// Received is a request as it arrived.
type Received struct {
	At      time.Time
	Number  int // 1 for the first request of this receiver
	Method  string
	Path    string // with the query
	Proto   string // HTTP/1.1, HTTP/2.0
	Header  http.Header
	Body    []byte
	Trailer http.Header // announced or not
	Conn    int         // 1 for the first connection of this receiver
}

// Answer describes the answer to a request. The zero value is 200 with no body.
type Answer struct {
	Status int
	Header map[string]string
	Body   []byte
	Delay  time.Duration // before the status
	Hang   bool          // never answer, until the client goes away
	Reset  bool          // reset the connection instead of answering
	// After the status, send a byte at this interval until the client goes away.
	Drip     time.Duration
	Redirect string // a Location; the status is 302 unless set
}

// Receiver is an HTTP server that records requests and answers them by script.
type Receiver struct {
	t      testing.TB
	ca     *CA
	server *http.Server
	url    string
	addr   string

	mu       sync.Mutex
	options  ReceiverOptions
	received []Received
	count    int
	conns    int
}

type connKey struct{}

// NewReceiver starts a receiver.
func NewReceiver(t testing.TB, o ReceiverOptions) *Receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Receiver{t: t, ca: o.CA, options: o, addr: l.Addr().String()}
	r.url = "http://" + r.addr
	r.server = &http.Server{
		Handler:           r,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          discardLog,
		ConnContext:       r.number,
		Protocols:         new(http.Protocols),
	}
	r.server.Protocols.SetHTTP1(true)
	r.server.Protocols.SetHTTP2(o.HTTP2)
	serve := func() error { return r.server.Serve(l) }
	if !o.Plain {
		if r.ca == nil {
			r.ca = NewCA(t)
		}
		r.url = "https://" + r.addr
		r.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{r.ca.Issue(t, o.Leaf)}, MinVersion: tls.VersionTLS12}
		serve = func() error { return r.server.ServeTLS(l, "", "") }
	}
	var work sync.WaitGroup
	work.Go(func() { _ = serve() }) // ends with ErrServerClosed
	t.Cleanup(func() {
		_ = r.server.Close() // closes its connections too, so that no answer hangs
		work.Wait()
	})
	return r
}

// URL returns the receiver's address, without a path.
func (r *Receiver) URL() string { return r.url }

// Addr returns the receiver's host:port.
func (r *Receiver) Addr() string { return r.addr }

// CA returns the authority of its certificate.
func (r *Receiver) CA() *CA { return r.ca }

// CAFile returns the path of that authority's certificate.
func (r *Receiver) CAFile() string { return r.ca.File() }

// SetAnswer sets the answer to later requests.
func (r *Receiver) SetAnswer(f func(*Received) Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.options.Answer = f
}

// Always returns a script that gives the same answer to every request.
func Always(a Answer) func(*Received) Answer { return func(*Received) Answer { return a } }

// Count returns the number of requests that have arrived.
func (r *Receiver) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// Conns returns the number of connections that were opened.
func (r *Receiver) Conns() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns
}

// Received returns the requests that have arrived, in order.
func (r *Receiver) Received() []Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Received(nil), r.received...)
}

// Wait waits until n requests have arrived and returns them.
func (r *Receiver) Wait(n int, within time.Duration) []Received {
	r.t.Helper()
	Eventually(r.t, within, func() error {
		if got := r.Count(); got < n {
			return fmt.Errorf("%d of %d requests have arrived", got, n)
		}
		return nil
	})
	return r.Received()
}

func (r *Receiver) number(ctx context.Context, _ net.Conn) context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns++
	return context.WithValue(ctx, connKey{}, r.conns)
}

// ServeHTTP records the request and answers it by the script.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the client went away while sending
	}
	conn, _ := req.Context().Value(connKey{}).(int)
	got := Received{
		At: time.Now(), Method: req.Method, Path: req.URL.RequestURI(), Proto: req.Proto, Header: req.Header, Body: body, Conn: conn, Trailer: req.Trailer,
	}
	r.mu.Lock()
	r.count++
	got.Number = r.count
	if !r.options.Forget {
		r.received = append(r.received, got)
	}
	script, record := r.options.Answer, r.options.Record
	r.mu.Unlock()
	if record != nil {
		record(&got)
	}
	if script != nil {
		script(&got).write(w, req)
	}
}

func (a Answer) write(w http.ResponseWriter, req *http.Request) {
	gone := req.Context().Done()
	if a.Hang {
		<-gone
		return
	}
	if a.Delay > 0 {
		select {
		case <-time.After(a.Delay):
		case <-gone:
			return
		}
	}
	if a.Reset {
		reset(w)
		return
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	status := a.Status
	if a.Redirect != "" {
		w.Header().Set("Location", a.Redirect)
		if status == 0 {
			status = http.StatusFound
		}
	}
	if status != 0 {
		w.WriteHeader(status)
	}
	_, _ = w.Write(a.Body) // the client may be gone
	if a.Drip > 0 {
		drip(w, gone, a.Drip)
	}
}

func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the stream is reset
	}
	if c, ok := conn.(*tls.Conn); ok {
		conn = c.NetConn()
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	_ = conn.Close()
}

func drip(w http.ResponseWriter, gone <-chan struct{}, each time.Duration) {
	tick := time.NewTicker(each)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte(".")); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-gone:
			return
		}
	}
}
