// Package attempt makes one attempt to deliver a webhook: it builds the request, signs it, dials
// only addresses that the policy allows, and classifies the outcome for metrics and describes it in
// plain words for people.
//
// Descriptions name the host at most: URLs may contain tokens.
package attempt

import (
	"net/http"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
)

// The classes of outcomes: the values of the label `result` of tenzo_webhook_attempts_total
// (specification.md, section 11).
const (
	Acknowledged = "acknowledged"
	Success      = "2xx" // a success status that is not an acknowledgement
	Redirect     = "3xx"
	ClientError  = "4xx"
	ServerError  = "5xx"
	Timeout      = "timeout"
	DNS          = "dns"
	Connection   = "connection"
	TLS          = "tls"
	Blocked      = "blocked" // by the policy: no request was made
	Other        = "other"
)

// Classes returns all classes, so that metrics can begin at zero.
func Classes() []string {
	return []string{Acknowledged, Success, Redirect, ClientError, ServerError, Timeout, DNS, Connection, TLS, Blocked, Other}
}

// Request is what to deliver.
type Request struct {
	Webhook webhook.Webhook // the URL and the secret; the caller checks whether it is active
	Event   string
	ID      string // the event's id, the same for every attempt: it becomes Webhook-Id
	// Body is the public payload, not empty. It may be read after Send has returned, since a
	// receiver may respond early: never reuse its memory.
	Body    []byte
	NoReuse bool // use no pooled connection: the one that just failed may have been stale
	Trace   bool // fill Result.Trace
}

// Result is how an attempt ended.
type Result struct {
	Acknowledged  bool
	Class         string        // one of the constants above
	Status        int           // the HTTP status; 0 where none came
	Error         string        // plain words; empty where acknowledged
	Duration      time.Duration // until the status came, or the attempt failed
	BlockedURL    bool          // the URL itself is refused by the policy: no retry can help
	ConnectFailed bool          // no connection was made (name, network, TLS): counts for its host
	Cancelled     bool          // the caller's context ended first: the outcome is unknown
	Trace         *Trace        // nil unless asked for
}

// Trace is what went over the wire, phase by phase.
type Trace struct {
	Sent     http.Header   // the request's header fields
	Received http.Header   // the response's header fields; nil where none came
	Address  string        // of the peer, once connected
	Reused   bool          // a pooled connection was used; DNS, Connect and TLS are then 0
	DNS      time.Duration // resolving the name
	Connect  time.Duration // opening the TCP connection
	TLS      time.Duration // the TLS handshake
	Wait     time.Duration // from the request sent to the first byte of the response
}
