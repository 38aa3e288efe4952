package attempt

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestStatuses(t *testing.T) {
	recv := harness.NewReceiver(t, harness.ReceiverOptions{})
	s := newSender(t, recv.CA())
	for status, want := range map[int]struct{ class, words string }{
		200: {Acknowledged, ""}, 201: {Acknowledged, ""}, 202: {Acknowledged, ""}, 204: {Acknowledged, ""},
		203: {Success, "answered 203"}, 205: {Success, "only 200"}, 206: {Success, "answered 206"}, 299: {Success, "answered 299;"},
		300: {Redirect, "answered 300"}, 304: {Redirect, "not followed"}, 307: {Redirect, "answered 307; redirects are not followed"},
		400: {ClientError, "answered 400 Bad Request"}, 410: {ClientError, "410 Gone"}, 429: {ClientError, "429"},
		500: {ServerError, "answered 500 Internal Server Error"}, 503: {ServerError, "503"}, 599: {ServerError, "answered 599"},
		600: {Other, "not a final"}, 999: {Other, "answered 999"},
	} {
		recv.SetAnswer(harness.Always(harness.Answer{Status: status}))
		got := send(t, s, to(recv.URL(), ""))
		if got.Class != want.class || got.Status != status || !strings.Contains(got.Error, want.words) || got.Duration <= 0 || got.ConnectFailed || got.BlockedURL || got.Cancelled {
			t.Errorf("%d: %+v", status, got)
		}
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		before := recv.Count()
		recv.SetAnswer(harness.Always(harness.Answer{Status: status, Redirect: recv.URL() + "/elsewhere"}))
		if got := send(t, s, to(recv.URL(), "")); got.Class != Redirect || got.Error != fmt.Sprintf("answered %d; redirects are not followed", status) {
			t.Errorf("%+v", got)
		}
		if n := recv.Count() - before; n != 1 {
			t.Errorf("%d: %d requests", status, n)
		}
	}
}

// serveTCP serves one TCP connection at a time with f and returns the address.
func serveTCP(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// respond reads a request and writes text.
func respond(text string) func(net.Conn) {
	return func(c net.Conn) {
		buffer := make([]byte, 4096)
		for total := ""; !strings.Contains(total, "😀"); {
			n, err := c.Read(buffer)
			if err != nil {
				return
			}
			total += string(buffer[:n])
		}
		_, _ = io.WriteString(c, text)
	}
}

func TestInvalidResponses(t *testing.T) {
	for name, c := range map[string]struct{ answer, class, words string }{
		"garbage":            {"TOKEN garbage\r\n\r\n", Other, "not valid HTTP"},
		"half a status line": {"HTTP/1.1", Other, "not valid HTTP"},
		"nothing":            {"", Connection, "closed before"},
		"early hints first":  {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Acknowledged, ""},
		"early hints only":   {"HTTP/1.1 103 Early Hints\r\n\r\n", Connection, "closed before"},
		"another protocol":   {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", Other, "answered 101"},
		"endless header":     {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", maxHeaderBytes+4096) + "\r\n\r\n", Other, "header of the answer is larger"},
		"contradicting":      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", Other, "not valid HTTP"},
		"compressed":         {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", Acknowledged, ""},
		"HTTP/1.0":           {"HTTP/1.0 202 Accepted\r\n\r\nbody", Acknowledged, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, nil)
			got := send(t, s, to("http://"+serveTCP(t, respond(c.answer)), ""))
			if got.Class != c.class || !strings.Contains(got.Error, c.words) || got.ConnectFailed {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	hanging := harness.NewReceiver(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Hang: true})})
	// silent accepts connections and sends nothing.
	silent := serveTCP(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		url     string
		change  func(*Options)
		connect bool
		words   string
	}{
		"no answer":    {hanging.URL(), func(*Options) {}, false, "no answer within 1 s"},
		"no handshake": {"https://" + silent, func(*Options) {}, true, "TLS handshake not finished within 1 s"},
		"no connection": {"https://127.0.0.1", func(o *Options) {
			o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, hang(ctx) }
		}, true, "no connection within 1 s"},
		"no name": {"https://example.com", func(o *Options) {
			o.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) { return nil, hang(ctx) }
		}, true, "did not resolve within 1 s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSender(t, hanging.CA(), timeout(time.Second), c.change)
			got := send(t, s, to(c.url, ""))
			if got.Class != Timeout || got.Error != c.words && !strings.Contains(got.Error, c.words) || got.ConnectFailed != c.connect || got.Cancelled || got.Duration < time.Second {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestConnectionFailures(t *testing.T) {
	closed := "127.0.0.1:" + strconv.Itoa(harness.FreePort(t))
	plain := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})
	hangsUp := serveTCP(t, func(c net.Conn) {})
	chatty := serveTCP(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "220 mail.example.com ESMTP TOKEN\r\n")
		_, _ = io.CopyN(io.Discard, c, 1)
	})
	for name, c := range map[string]struct{ url, class, words string }{
		"refused":             {"https://" + closed, Connection, "connection refused"},
		"plain HTTP":          {"https://" + plain.Addr(), TLS, "answered in plain HTTP"},
		"another protocol":    {"https://" + chatty, TLS, "does not speak TLS"},
		"closed in handshake": {"https://" + hangsUp, TLS, "during the TLS handshake"},
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, newSender(t, nil), to(c.url, ""))
			if got.Class != c.class || !strings.Contains(got.Error, c.words) || !got.ConnectFailed {
				t.Errorf("%+v", got)
			}
		})
	}
	reset := harness.NewReceiver(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Reset: true})})
	if got := send(t, newSender(t, reset.CA()), to(reset.URL(), "")); got.Class != Connection || !strings.Contains(got.Error, "reset before") || got.ConnectFailed {
		t.Errorf("%+v", got)
	}
}

func TestCertificates(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		leaf    harness.Leaf
		now     time.Time
		unknown bool
		words   string
	}{
		"expired 2 days ago":  {harness.Leaf{NotAfter: now.Add(-50 * time.Hour)}, now, false, "certificate expired 2 days ago"},
		"expired a day ago":   {harness.Leaf{NotAfter: now.Add(-30 * time.Hour)}, now, false, "certificate expired 1 day ago"},
		"expired hours ago":   {harness.Leaf{NotAfter: now.Add(-5*time.Hour - time.Minute)}, now, false, "certificate expired 5 hours ago"},
		"expired minutes ago": {harness.Leaf{NotAfter: now.Add(-90 * time.Second)}, now, false, "certificate expired 1 minutes ago"},
		"not valid yet":       {harness.Leaf{}, now.Add(-300 * 24 * time.Hour), false, "certificate not valid before"},
		"another host":        {harness.Leaf{Hosts: []string{"other.example.com"}}, now, false, "the certificate is for another host than 127.0.0.1"},
		"unknown authority":   {harness.Leaf{}, now, true, "signed by an unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			recv := harness.NewReceiver(t, harness.ReceiverOptions{Leaf: c.leaf})
			ca := recv.CA()
			if c.unknown {
				ca = harness.NewCA(t)
			}
			s := newSender(t, ca, func(o *Options) { o.Now = func() time.Time { return c.now } })
			got := send(t, s, to(recv.URL(), ""))
			if got.Class != TLS || !strings.Contains(got.Error, c.words) || !got.ConnectFailed || recv.Count() > 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestTLSSettings(t *testing.T) {
	ca := harness.NewCA(t)
	serve := func(settings *tls.Config) string {
		settings.Certificates = []tls.Certificate{ca.Issue(t, harness.Leaf{})}
		l, err := tls.Listen("tcp", "127.0.0.1:0", settings)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ErrorLog: nil}
		done := make(chan struct{})
		go func() { defer close(done); _ = server.Serve(l) }()
		t.Cleanup(func() { server.Close(); <-done })
		return "https://" + l.Addr().String()
	}
	for name, c := range map[string]struct {
		settings     *tls.Config
		class, words string
	}{
		"1.3":                   {&tls.Config{MinVersion: tls.VersionTLS13}, Acknowledged, ""},
		"1.2":                   {&tls.Config{MaxVersion: tls.VersionTLS12}, Acknowledged, ""},
		"1.1":                   {&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, TLS, "does not support TLS 1.2 or newer"},
		"wants a certificate":   {&tls.Config{ClientAuth: tls.RequireAnyClientCert}, TLS, "the endpoint ended TLS with an alert: certificate required"},
		"1.2, wants one, too":   {&tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, TLS, "the endpoint ended TLS with an alert"},
		"offers HTTP/2 as well": {&tls.Config{NextProtos: []string{"h2", "http/1.1"}}, Acknowledged, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := send(t, newSender(t, ca), to(serve(c.settings), ""))
			if got.Class != c.class || !strings.Contains(got.Error, c.words) {
				t.Errorf("%+v", got)
			}
		})
	}
}
