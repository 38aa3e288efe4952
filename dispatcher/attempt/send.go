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

// attemptState is the state of one attempt in flight. Goroutines of the transport share it: they
// make connections and write requests in parallel with Send, and may continue after Send has
// returned.
type attemptState struct {
	deadline time.Time
	stage    atomic.Int32 // of the last connection begun for this attempt
	sent     atomic.Bool  // there was a connection, and the request is being written to it

	mu    sync.Mutex
	trace *Trace // nil unless asked for; guarded by mu until Send takes it
}

type attemptStateKey struct{}

// enterStage records the stage of making a connection. It returns the current time.
func (a *attemptState) enterStage(st stage) time.Time {
	a.stage.Store(int32(st))
	return time.Now()
}

// updateTrace fills in the trace, where one was asked for and Send has not taken it yet.
func (a *attemptState) updateTrace(fill func(*Trace)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trace != nil {
		fill(a.trace)
	}
}

// takeTrace returns the trace and ends tracing.
func (a *attemptState) takeTrace() *Trace {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.trace
	a.trace = nil
	if t != nil && t.Reused {
		t.DNS, t.Connect, t.TLS = 0, 0, 0 // of a connection that was not needed in the end
	}
	return t
}

// Send makes one attempt and returns as soon as the status has come. It returns within the timeout,
// or soon after ctx ends.
func (s *Sender) Send(ctx context.Context, r Request) Result {
	began := time.Now()
	if ctx.Err() != nil {
		return Result{Class: Other, Error: cancelledText, Cancelled: true}
	}
	t := s.resolveTarget(r.Webhook)
	if t.err != nil {
		return Result{Class: Blocked, Error: t.err.Error(), BlockedURL: true}
	}
	a := &attemptState{deadline: began.Add(s.options.Timeout)}
	// The attempt's own context outlives Send, since the body of the response is read after it. The
	// caller's context ends it only until Send returns.
	own, cancel := context.WithDeadlineCause(context.WithValue(s.base, attemptStateKey{}, a), a.deadline, errTimeout)
	unlink := context.AfterFunc(ctx, cancel)
	hooks := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { a.sent.Store(true) }}
	if r.Trace {
		a.trace = new(Trace)
		a.traceTransport(hooks)
	}
	//nolint:contextcheck // the attempt's own context, see above
	req := s.request(httptrace.WithClientTrace(own, hooks), r, t, a)
	a.updateTrace(func(t *Trace) { t.Sent = req.Header.Clone() })
	transport := s.pooled
	if r.NoReuse {
		transport = s.noReuse
	}
	response, err := transport.RoundTrip(req)
	result := Result{Duration: time.Since(began)}
	unlink()
	if cause := context.Cause(own); err == nil && cause != nil {
		// When the time is over, the transport closes the connection, and a receiver whose handler
		// returns then sends an implicit 200 to nobody. Where the two race, that 200 is not an
		// acknowledgement.
		_ = response.Body.Close()
		err = cause
	}
	if err != nil {
		//nolint:contextcheck // the attempt's own context, see above
		s.classify(&result, t.url.Hostname(), a, err, context.Cause(own))
		cancel()
	} else {
		a.updateTrace(func(t *Trace) { t.Received = response.Header.Clone() })
		classifyStatus(&result, response.StatusCode)
		s.drain(t.url.Host, response, cancel)
	}
	result.Trace = a.takeTrace()
	return result
}

// request builds the request of specification.md, section 6.
func (s *Sender) request(ctx context.Context, r Request, t *target, a *attemptState) *http.Request {
	timestamp := strconv.FormatInt(s.options.Now().Unix(), 10)
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
	// The transport recognizes this kind of body as one in memory, and writes it together with the
	// header.
	content := func() io.ReadCloser { return io.NopCloser(bytes.NewReader(r.Body)) }
	req := new(http.Request).WithContext(ctx)
	req.Method, req.URL, req.Host = http.MethodPost, t.url, t.url.Host
	req.Proto, req.ProtoMajor, req.ProtoMinor = "HTTP/1.1", 1, 1
	req.Header, req.Body, req.ContentLength = header, content(), int64(len(r.Body))
	// Where a pooled connection turns out dead before anything was written to it, the transport
	// takes another one: no attempt was made. It repeats nothing that was written: without an
	// Idempotency-Key, a POST is not replayable.
	req.GetBody = func() (io.ReadCloser, error) {
		a.sent.Store(false)
		return content(), nil
	}
	return req
}

// traceTransport fills in the parts of the trace that only the transport knows.
func (a *attemptState) traceTransport(hooks *httptrace.ClientTrace) {
	var wrote time.Time // guarded by a.mu, in updateTrace
	hooks.GotConn = func(i httptrace.GotConnInfo) {
		a.sent.Store(true)
		a.updateTrace(func(t *Trace) { t.Reused, t.Address = i.Reused, i.Conn.RemoteAddr().String() })
	}
	hooks.WroteRequest = func(httptrace.WroteRequestInfo) { a.updateTrace(func(*Trace) { wrote = time.Now() }) }
	hooks.GotFirstResponseByte = func() {
		a.updateTrace(func(t *Trace) {
			if !wrote.IsZero() { // otherwise the endpoint responded before it had read all
				t.Wait = time.Since(wrote)
			}
		})
	}
}

// classifyStatus sets what a status means (specification.md, section 6).
func classifyStatus(r *Result, status int) {
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
		r.Class, r.Error = Other, "answered "+text+", which is not a final HTTP status"
	}
}
