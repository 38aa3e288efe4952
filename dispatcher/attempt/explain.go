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

// givenUp is said of an attempt that was cancelled.
const givenUp = "given up before an answer came"

// explain says, for an attempt without an answer, what its class is and what happened in words. The errors themselves are never shown:
// some hold what the endpoint sent, others the URL.
func (s *Sender) explain(r *Result, host string, f *flight, err, cause error) {
	var blocked *blockedError
	var dns *net.DNSError
	at := stageNone // made no connection, at this stage
	if dial, ok := errors.AsType[*dialError](err); ok {
		at = dial.stage
	} else if !f.sent.Load() {
		at = stage(f.stage.Load())
	}
	r.ConnectFailed = at != stageNone
	switch {
	case errors.As(err, &blocked):
		r.Class, r.Error = Blocked, blocked.Error()
		r.Blocked, r.ConnectFailed = true, false
	case cause != nil && !errors.Is(cause, errTimeout):
		r.Class, r.Error = Other, givenUp
		r.Cancelled, r.ConnectFailed = true, false
	case cause != nil || !time.Now().Before(f.deadline): // the connection's own deadline is the same and may strike first
		r.Class, r.Error = Timeout, s.timedOut(at)
	case errors.As(err, &dns):
		r.Class, r.Error = DNS, "the name server could not resolve "+host
		if dns.IsNotFound {
			r.Error = "the name " + host + " does not resolve"
		}
	case at == stageHandshake || isAlert(err):
		r.Class, r.Error = TLS, s.explainTLS(host, err)
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		r.Class, r.Error = Other, "this machine has no free file descriptors"
		r.ConnectFailed = false
	default:
		r.Class, r.Error = explainConnection(at, err)
	}
}

func (s *Sender) timedOut(at stage) string {
	within := " within " + strings.TrimSuffix(s.o.Timeout.String(), "m0s")
	if s.o.Timeout%time.Second == 0 {
		within = fmt.Sprintf(" within %d s", int(s.o.Timeout/time.Second))
	}
	switch at {
	case stageResolve:
		return "the name did not resolve" + within
	case stageConnect:
		return "no connection" + within
	case stageHandshake:
		return "no end of the TLS handshake" + within
	default:
		return "no answer" + within
	}
}

// isAlert says whether the error is a TLS alert; some arrive only after the handshake.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

func (s *Sender) explainTLS(host string, err error) string {
	var invalid x509.CertificateInvalidError
	var wrongHost x509.HostnameError
	var authority x509.UnknownAuthorityError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return s.outOfDate(invalid.Cert)
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
	case strings.Contains(err.Error(), "protocol version"): // an alert, or the version the endpoint chose
		return "the endpoint speaks no TLS as new as 1.2"
	case errors.As(err, &op) && op.Op == "remote error":
		return "the endpoint broke TLS off: " + strings.TrimPrefix(op.Err.Error(), "tls: ") // one of a fixed list of alerts
	case isClosed(err):
		return "the connection was closed during the TLS handshake"
	default:
		return "the TLS handshake failed"
	}
}

// outOfDate says since when, or until when, a certificate is not valid.
func (s *Sender) outOfDate(c *x509.Certificate) string {
	now := s.o.Now()
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

func explainConnection(at stage, err error) (class, words string) {
	var op *net.OpError
	text := err.Error()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return Connection, "connection refused"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return Connection, "no route to the host"
	case errors.Is(err, syscall.ETIMEDOUT) && at != stageNone:
		return Timeout, "no connection within the time of this machine's network"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Connection, "the connection was reset before an answer came"
	case isClosed(err), strings.Contains(text, "server closed idle connection"):
		return Connection, "the connection was closed before an answer came"
	case strings.Contains(text, "server response headers exceeded"):
		return Other, "the header of the answer is larger than 64 KiB"
	case at != stageNone, errors.As(err, &op):
		return Connection, "the connection failed"
	default:
		return Other, "the answer is no proper HTTP"
	}
}
