// Package attempt makes one attempt to deliver a webhook: it builds the request, signs it, dials only what the policy allows, and says in
// one word (for metrics) and in plain words (for people) how it ended.
//
// What it says names the host at most: URLs may hold tokens.
package attempt

import (
	"net/http"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

// The classes of outcomes: the values of the label `result` of tenzo_webhook_attempts_total (specification.md, section 11).
const (
	Acknowledged = "acknowledged"
	Success      = "2xx" // a success status that does not acknowledge
	Redirect     = "3xx"
	ClientError  = "4xx"
	ServerError  = "5xx"
	Timeout      = "timeout"
	DNS          = "dns"
	Connection   = "connection"
	TLS          = "tls"
	Blocked      = "blocked"
	Other        = "other"
)

// Classes returns every class, for metrics to begin at zero.
func Classes() []string {
	return []string{Acknowledged, Success, Redirect, ClientError, ServerError, Timeout, DNS, Connection, TLS, Blocked, Other}
}

// Request is what to deliver.
type Request struct {
	Webhook config.Webhook // where to and under which secret; whether it is active is the caller's business
	Event   string
	ID      string // the event's id, the same for every attempt: it becomes Webhook-Id
	Body    []byte // the public payload, not empty. It may still be read after Send returned (a receiver may answer early): never reuse its memory
	NoReuse bool   // do not use a kept connection: the one that just failed may have been stale
	Trace   bool   // fill Result.Trace, for people
}

// Result is how an attempt ended.
type Result struct {
	Acknowledged  bool
	Class         string        // one of the constants above
	Status        int           // the HTTP status; 0 where none arrived
	Error         string        // plain words, empty where acknowledged
	Duration      time.Duration // until the status arrived, or the attempt was given up
	Blocked       bool          // stopped by the policy: no request was made, and none will ever be
	ConnectFailed bool          // no usable connection came about (name, network, TLS): counts against the host
	Cancelled     bool          // the caller's context ended first: what came of the attempt is not known
	Trace         *Trace        // nil unless asked for
}

// Trace is what went over the wire, phase by phase.
type Trace struct {
	Sent     http.Header   // the request's header fields
	Received http.Header   // the answer's header fields; nil where none arrived
	Address  string        // of the peer, once connected
	Reused   bool          // a kept connection was used; DNS, Connect and TLS are then 0
	DNS      time.Duration // resolving the name
	Connect  time.Duration // opening the TCP connection
	TLS      time.Duration // the TLS handshake
	Wait     time.Duration // from the request sent to the first byte of the answer
}
