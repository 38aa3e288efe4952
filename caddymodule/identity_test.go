package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// forgeries are the ways in which an HTTP/1.1 client may claim an identity, or hide the real one
// from the upstream.
var forgeries = []struct {
	name  string
	lines []string // after the request line and Host
}{
	{"plain", []string{"X-Tenzo-Org-Id: evil", "X-Tenzo-Key-Id: evil"}},
	{"twice", []string{"X-Tenzo-Org-Id: evil", "X-Tenzo-Org-Id: eviler"}},
	{"case", []string{"x-tenzo-org-id: evil", "X-TENZO-KEY-ID: evil"}},
	{"other names", []string{"X-Tenzo-Admin: evil", "X-Tenzo-: evil"}},
	{"underscores", []string{"X_Tenzo_Org_Id: evil", "X-Tenzo_Org-Id: evil"}},
	{"dots", []string{"X.Tenzo.Org.Id: evil"}},
	{"connection", []string{"Connection: close, X-Tenzo-Org-Id, x-tenzo-key-id"}},
	{"connection, twice", []string{"Connection: X-Tenzo-Org-Id", "Connection: close,X-TENZO-KEY-ID ,  Authorization"}},
	{"connection, nothing else", []string{"Connection: X-Tenzo-Org-Id"}},
	{"announced trailer", []string{"Trailer: X-Tenzo-Org-Id", "Transfer-Encoding: chunked", "", "3", "abc", "0", "X-Tenzo-Org-Id: evil", ""}},
	{"unannounced trailer", []string{"Transfer-Encoding: chunked", "", "3", "abc", "0", "X-Tenzo-Org-Id: evil", ""}},
	{"unannounced beside an announced one", []string{"Trailer: X-Checksum", "Transfer-Encoding: chunked", "", "3", "abc", "0", "X-Checksum: 1", "x-tenzo-org-id: evil", "X-Tenzo-Key-Id: evil", ""}},
	{"credentials as a trailer", []string{"Trailer: Authorization", "Transfer-Encoding: chunked", "", "3", "abc", "0", "Authorization: Bearer other", ""}},
	{"credentials as a trailer, unannounced", []string{"Transfer-Encoding: chunked", "", "3", "abc", "0", "Authorization: Bearer other", ""}},
	{"unannounced, empty body", []string{"Trailer: X-Checksum", "Transfer-Encoding: chunked", "", "0", "X-Checksum: 1", "X-Tenzo-Org-Id: evil", ""}},
}

// checkIdentity fails if the upstream received X-Tenzo-* headers or trailers other than the wanted
// ones.
func checkIdentity(t *testing.T, s seen, org, key string) {
	t.Helper()
	for _, h := range []http.Header{s.header, s.trailer} {
		for name, values := range h {
			if slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, "evil") }) {
				t.Errorf("the upstream saw %s: %q", name, values)
			}
		}
	}
	for name, want := range map[string]string{headerOrgID: org, headerKeyID: key} {
		if got := s.header[name]; strings.Join(got, "|") != want {
			t.Errorf("the upstream saw %s: %q, want %q", name, got, want)
		}
	}
}

// identitySite is a gateway whose server passes every header name, to test the module's own filter
// and not Caddy's.
func identitySite(addr, directive, upstream string) string {
	return fmt.Sprintf(`{
	admin off
	servers {
		protocols h1 h2c
		expected_underscore_headers X_Tenzo_Org_Id X-Tenzo_Org-Id
	}
}
http://:%s {
	bind 127.0.0.1
	%s
	reverse_proxy %s
}`, port(addr), directive, upstream)
}

func TestStripRemovesClaims(t *testing.T) {
	t.Setenv("TENZO_REDIS_URL", "redis://127.0.0.1:1") // tenzo_strip needs no Redis
	up, addr := startUpstream(t), harness.FreeAddr(t)
	load(t, identitySite(addr, "tenzo_strip", up.addr()))
	for _, f := range forgeries {
		t.Run(f.name, func(t *testing.T) {
			answer := raw(t, addr, forged(f.lines, "Authorization: Bearer token"))
			if !strings.HasPrefix(answer, "HTTP/1.1 200") {
				t.Fatalf("answered %q", answer)
			}
			saw := up.last(t)
			checkIdentity(t, saw, "", "")
			if saw.header.Get("Authorization") != "Bearer token" {
				t.Error("tenzo_strip removed more than claims")
			}
			if strings.Contains(strings.Join(f.lines, "\n"), "\nabc\n") && saw.body != "abc" {
				t.Errorf("the body became %q", saw.body)
			}
			if strings.Contains(strings.Join(f.lines, "\n"), "\nX-Checksum: 1") && saw.trailer.Get("X-Checksum") != "1" {
				t.Errorf("an honest trailer was lost: %v", saw.trailer)
			}
		})
	}
}

// forged returns a request with the lines of a forgery. It closes the connection.
func forged(l []string, headers ...string) string {
	start := append([]string{"POST /v1 HTTP/1.1", "Host: gateway"}, headers...)
	if !strings.Contains(strings.Join(l, " "), "close") {
		start = append(start, "Connection: close")
	}
	if !slices.Contains(l, "") {
		l = append(slices.Clone(l), "Content-Length: 0", "")
	}
	return lines(append(append(start, l...), "")...)
}

func TestStripRemovesClaimsHTTP2(t *testing.T) {
	t.Setenv("TENZO_REDIS_URL", "redis://127.0.0.1:1")
	up, addr := startUpstream(t), harness.FreeAddr(t)
	load(t, identitySite(addr, "tenzo_strip", up.addr()))
	forgeHTTP2(t, "http://"+addr, "", func() { checkIdentity(t, up.last(t), "", "") })
}

// forgeHTTP2 sends claims over HTTP/2: as headers, and as announced and unannounced trailers. It
// calls check after each.
func forgeHTTP2(t *testing.T, url, key string, check func()) {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	for _, announced := range []bool{false, true} {
		body := &lateTrailer{Reader: strings.NewReader("abc")}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = http.Header{"X-Tenzo-Org-Id": {"evil"}, "X-Tenzo-Key-Id": {"evil"}, "X-Tenzo-More": {"evil"}}
		if key != "" {
			request.Header.Set("Authorization", "Bearer "+key)
		}
		request.Trailer = http.Header{"X-Checksum": nil}
		if announced {
			request.Trailer["X-Tenzo-Org-Id"] = nil
		}
		body.trailer = request.Trailer
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.ProtoMajor != 2 || response.StatusCode != http.StatusOK {
			t.Fatalf("answered %s %s", response.Proto, response.Status)
		}
		check()
	}
}

// lateTrailer sets trailers at the end of the body, as the protocol requires.
type lateTrailer struct {
	*strings.Reader
	trailer http.Header
}

func (l *lateTrailer) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err == io.EOF {
		l.trailer["X-Checksum"] = []string{"1"}
		l.trailer["X-Tenzo-Org-Id"] = []string{"evil"}
	}
	return n, err
}

func TestIsIdentity(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Tenzo-Org-Id": true, "x-tenzo-": true, "X_TENZO_KEY": true, "x.tenzo-org": true,
		"X-Tenzo": false, "X-Tenzoorg": false, "X-Tensor-Id": false, "": false, "Authorization": false,
	} {
		if got := isIdentity(name); got != want {
			t.Errorf("%q: %t", name, got)
		}
	}
}
