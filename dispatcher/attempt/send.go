package attempt

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// flight is one attempt under way. The transport's goroutines share it: connections are made, and requests written, beside Send, and
// may go on after Send returned.
type flight struct {
	deadline time.Time
	stage    atomic.Int32 // of the last connection begun for this attempt
	sent     atomic.Bool  // a connection was there, and the request is written to it

	mu    sync.Mutex
	trace *Trace // nil unless asked for; guarded by mu until Send takes it
}

type flightKey struct{}

// enter notes that making a connection has come to st.
func (f *flight) enter(st stage) time.Time {
	f.stage.Store(int32(st))
	return time.Now()
}

// note fills the trace, where one is asked for and not taken yet.
func (f *flight) note(fill func(*Trace)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trace != nil {
		fill(f.trace)
	}
}

// take ends the trace.
func (f *flight) take() *Trace {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.trace
	f.trace = nil
	if t != nil && t.Reused {
		t.DNS, t.Connect, t.TLS = 0, 0, 0 // of a connection that was not needed after all
	}
	return t
}

// Send makes one attempt and returns as soon as the status has arrived. It returns within the timeout, or soon after ctx ends.
func (s *Sender) Send(ctx context.Context, r Request) Result {
	began := time.Now()
	if ctx.Err() != nil {
		return Result{Class: Other, Error: givenUp, Cancelled: true}
	}
	t := s.judge(r.Webhook)
	if t.err != nil {
		return Result{Class: Blocked, Error: t.err.Error(), Blocked: true}
	}
	f := &flight{deadline: began.Add(s.o.Timeout)}
	// The attempt's own context outlives Send, for the body of the answer; the caller's ends it only until then.
	own, cancel := context.WithDeadlineCause(context.WithValue(s.base, flightKey{}, f), f.deadline, errTimeout)
	unlink := context.AfterFunc(ctx, cancel)
	hooks := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { f.sent.Store(true) }}
	if r.Trace {
		f.trace = new(Trace)
		f.follow(hooks)
	}
	req := s.request(httptrace.WithClientTrace(own, hooks), r, t, f) //nolint:contextcheck // the attempt's own context, as said above
	f.note(func(t *Trace) { t.Sent = req.Header.Clone() })
	transport := s.kept
	if r.NoReuse {
		transport = s.fresh
	}
	answer, err := transport.RoundTrip(req)
	result := Result{Duration: time.Since(began)}
	unlink()
	if cause := context.Cause(own); err == nil && cause != nil {
		// At the end of its time the transport hangs up, and a receiver whose handler then returns answers an implicit 200 to nobody. Where
		// that races with the hanging up it is no acknowledgement.
		_ = answer.Body.Close()
		err = cause
	}
	if err != nil {
		s.explain(&result, t.url.Hostname(), f, err, context.Cause(own)) //nolint:contextcheck // as above
		cancel()
	} else {
		f.note(func(t *Trace) { t.Received = answer.Header.Clone() })
		judgeStatus(&result, answer.StatusCode)
		s.drain(t.url.Host, answer, cancel)
	}
	result.Trace = f.take()
	return result
}

// request builds the request of specification.md, section 6.
func (s *Sender) request(ctx context.Context, r Request, t *target, f *flight) *http.Request {
	timestamp := strconv.FormatInt(s.o.Now().Unix(), 10)
	values := [...]string{"application/json", s.userAgent, r.Event, r.ID, timestamp, "", ""}
	header := http.Header{
		"Content-Type":      values[0:1:1],
		"User-Agent":        values[1:2:2],
		"X-Webhook-Event":   values[2:3:3],
		"Webhook-Id":        values[3:4:4],
		"Webhook-Timestamp": values[4:5:5],
	}
	if r.Webhook.Secret.IsSet() {
		by := t.signers.Get().(*signer)
		values[5] = by.signBody(r.Body)
		values[6] = by.signStandard(r.ID, timestamp, r.Body)
		t.signers.Put(by)
		header["X-Webhook-Signature"] = values[5:6:6]
		header["Webhook-Signature"] = values[6:7:7]
	}
	// The transport knows this kind of body for one in memory, and writes it together with the header.
	content := func() io.ReadCloser { return io.NopCloser(bytes.NewReader(r.Body)) }
	req := new(http.Request).WithContext(ctx)
	req.Method, req.URL, req.Host = http.MethodPost, t.url, t.url.Host
	req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/1.1", 1, 1
	req.Header, req.Body, req.ContentLength = header, content(), int64(len(r.Body))
	// Where a kept connection turns out dead before anything was written to it, the transport takes another one: no attempt was made.
	// It repeats nothing that was written: a POST is not replayable as long as it has no Idempotency-Key.
	req.GetBody = func() (io.ReadCloser, error) {
		f.sent.Store(false)
		return content(), nil
	}
	return req
}

// follow fills the trace with what only the transport knows.
func (f *flight) follow(hooks *httptrace.ClientTrace) {
	var wrote time.Time // guarded by f.mu, in note
	hooks.GotConn = func(i httptrace.GotConnInfo) {
		f.sent.Store(true)
		f.note(func(t *Trace) { t.Reused, t.Address = i.Reused, i.Conn.RemoteAddr().String() })
	}
	hooks.WroteRequest = func(httptrace.WroteRequestInfo) { f.note(func(*Trace) { wrote = time.Now() }) }
	hooks.GotFirstResponseByte = func() {
		f.note(func(t *Trace) {
			if !wrote.IsZero() { // else the endpoint answered before it had read all
				t.Wait = time.Since(wrote)
			}
		})
	}
}

// judgeStatus says what a status means (specification.md, section 6).
func judgeStatus(r *Result, status int) {
	r.Status = status
	text := strconv.Itoa(status)
	switch status {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		r.Acknowledged, r.Class = true, Acknowledged
		return
	}
	if name := http.StatusText(status); name != "" {
		text += " " + name
	}
	switch status / 100 {
	case 2:
		r.Class, r.Error = Success, "answered "+text+"; only 200, 201, 202 and 204 acknowledge"
	case 3:
		r.Class, r.Error = Redirect, "answered "+strconv.Itoa(status)+"; redirects are not followed"
	case 4:
		r.Class, r.Error = ClientError, "answered "+text
	case 5:
		r.Class, r.Error = ServerError, "answered "+text
	default:
		r.Class, r.Error = Other, "answered "+text+", which is no final HTTP status"
	}
}
