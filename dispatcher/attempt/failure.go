package attempt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// cancelledText describes an attempt that was cancelled.
const cancelledText = "cancelled before an answer came"

// classify sets the class and the description of an attempt without a response. It never shows the
// error itself: some errors have bytes of the endpoint in them, others the URL.
func (s *Sender) classify(r *Result, host string, a *attemptState, err, cause error) {
	var blocked *blockedError
	var dns *net.DNSError
	at := stageNone // the stage at which no connection was made
	if dial, ok := errors.AsType[*dialError](err); ok {
		at = dial.stage
	} else if !a.sent.Load() {
		at = stage(a.stage.Load())
	}
	r.ConnectFailed = at != stageNone
	switch {
	case errors.As(err, &blocked):
		r.Class, r.Error = Blocked, blocked.Error()
		r.BlockedURL, r.ConnectFailed = blocked.literal, !blocked.literal
	case cause != nil && !errors.Is(cause, errTimeout):
		r.Class, r.Error = Other, cancelledText
		r.Cancelled, r.ConnectFailed = true, false
	case cause != nil || !time.Now().Before(a.deadline):
		// The connection's own deadline is the same, and may strike before the context's.
		r.Class, r.Error = Timeout, s.describeTimeout(at)
	case errors.As(err, &dns):
		r.Class, r.Error = DNS, "the name server could not resolve "+host
		if dns.IsNotFound {
			r.Error = "the name " + host + " does not resolve"
		}
	case at == stageHandshake || isAlert(err):
		r.Class, r.Error = TLS, s.describeTLS(host, err)
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		r.Class, r.Error = Other, "this machine has no free file descriptors"
		r.ConnectFailed = false
	default:
		r.Class, r.Error = classifyConnection(at, err)
	}
}

func (s *Sender) describeTimeout(at stage) string {
	within := " within " + strings.TrimSuffix(s.options.Timeout.String(), "m0s")
	if s.options.Timeout%time.Second == 0 {
		within = fmt.Sprintf(" within %d s", int(s.options.Timeout/time.Second))
	}
	switch at {
	case stageResolve:
		return "the name did not resolve" + within
	case stageConnect:
		return "no connection" + within
	case stageHandshake:
		return "TLS handshake not finished" + within
	default:
		return "no answer" + within
	}
}

// isAlert says whether the error is a TLS alert. Some alerts arrive only after the handshake.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

func (s *Sender) describeTLS(host string, err error) string {
	var invalid x509.CertificateInvalidError
	var wrongHost x509.HostnameError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return s.describeExpiry(invalid.Cert)
	case errors.As(err, &wrongHost):
		return "the certificate is for another host than " + host
	case errors.As(err, &authority):
		return "the certificate is signed by an unknown authority"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "the certificate is not valid"
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return "answered in plain HTTP on a port where TLS was expected"
	case errors.As(err, &record):
		return "the port does not speak TLS"
	case strings.Contains(err.Error(), "protocol version"): // an alert, or the endpoint's choice
		return "the endpoint does not support TLS 1.2 or newer"
	case errors.As(err, &op) && op.Op == "remote error": // one of a fixed list of alerts
		return "the endpoint ended TLS with an alert: " + strings.TrimPrefix(op.Err.Error(), "tls: ")
	case isClosed(err):
		return "the connection was closed during the TLS handshake"
	default:
		return "the TLS handshake failed"
	}
}

// describeExpiry says since when, or until when, a certificate is not valid.
func (s *Sender) describeExpiry(c *x509.Certificate) string {
	now := s.options.Now()
	if c == nil {
		return "the certificate has expired"
	}
	if now.Before(c.NotBefore) {
		return "certificate not valid before " + c.NotBefore.UTC().Format(time.DateOnly)
	}
	ago := now.Sub(c.NotAfter)
	switch days := int(ago / (24 * time.Hour)); {
	case days > 1:
		return fmt.Sprintf("certificate expired %d days ago", days)
	case days == 1:
		return "certificate expired 1 day ago"
	case ago >= 2*time.Hour:
		return fmt.Sprintf("certificate expired %d hours ago", int(ago/time.Hour))
	default:
		return fmt.Sprintf("certificate expired %d minutes ago", int(ago/time.Minute))
	}
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func classifyConnection(at stage, err error) (class, words string) {
	var op *net.OpError
	text := err.Error()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Connection, "connection refused"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return Connection, "no route to the host"
	case errors.Is(err, syscall.ETIMEDOUT) && at != stageNone:
		return Timeout, "no connection within the timeout of this machine's network"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Connection, "the connection was reset before an answer came"
	case isClosed(err), strings.Contains(text, "server closed idle connection"):
		return Connection, "the connection was closed before an answer came"
	case strings.Contains(text, "server response headers exceeded"):
		return Other, "the header of the answer is larger than 64 KiB"
	case at != stageNone, errors.As(err, &op):
		return Connection, "the connection failed"
	default:
		return Other, "the answer is not valid HTTP"
	}
}
