package tests

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// raw sends the bytes of an HTTP/1.1 request unchanged and returns the status of the answer.
func raw(t *testing.T, addr, request string) int {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(conn, request)
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
	return resp.StatusCode
}

// identities returns the values that an upstream could take for the caller's identity.
func identities(r harness.Received) map[string][]string {
	out := map[string][]string{}
	for _, h := range []http.Header{r.Header, r.Trailer} {
		for name, values := range h {
			if strings.HasPrefix(strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)), "x-tenzo-") {
				out[name] = append(out[name], values...)
			}
		}
	}
	return out
}

// TestIdentityCannotBeForged sends requests with which a client could try to set, duplicate or
// remove the identity that the upstream gets.
func TestIdentityCannotBeForged(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	upstream := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})
	proxy := "reverse_proxy " + upstream.Addr()
	g := startGateway(t, site{redis: r.URL(), handler: proxy, open: "tenzo_strip\n" + proxy})
	k := newKey(t, r.Client(t), "acme")
	authorization := "Authorization: Bearer " + k.secret + "\r\n"
	const host = "Host: gateway\r\n"
	chunked := "Transfer-Encoding: chunked\r\n"
	body := "\r\n4\r\nbody\r\n0\r\n"

	for name, request := range map[string]string{
		"headers":                      "GET / HTTP/1.1\r\n" + host + authorization + "X-Tenzo-Org-Id: other\r\nX-Tenzo-Key-Id: other\r\nX-Tenzo-Role: admin\r\n\r\n",
		"headers twice":                "GET / HTTP/1.1\r\n" + host + authorization + "X-Tenzo-Org-Id: other\r\nX-Tenzo-Org-Id: another\r\n\r\n",
		"odd case":                     "GET / HTTP/1.1\r\n" + host + authorization + "x-tEnZo-oRg-iD: other\r\n\r\n",
		"underscores and dots":         "GET / HTTP/1.1\r\n" + host + authorization + "X_Tenzo_Org_Id: other\r\nX.Tenzo.Org.Id: other\r\nX-Tenzo_Org-Id: other\r\n\r\n",
		"Connection":                   "GET / HTTP/1.1\r\n" + host + authorization + "Connection: close, X-Tenzo-Org-Id, x-tenzo-key-id\r\n\r\n",
		"Connection, several lines":    "GET / HTTP/1.1\r\n" + host + authorization + "Connection: X-Tenzo-Org-Id\r\nConnection: x-tenzo-key-id,close\r\n\r\n",
		"Connection, odd spacing":      "GET / HTTP/1.1\r\n" + host + authorization + "Connection: ,close ,\t X-Tenzo-Org-Id\t,X-TENZO-KEY-ID ,\r\n\r\n",
		"Connection with an upgrade":   "GET / HTTP/1.1\r\n" + host + authorization + "Connection: Upgrade, X-Tenzo-Org-Id\r\nUpgrade: x\r\n\r\n",
		"a declared trailer":           "POST / HTTP/1.1\r\n" + host + authorization + chunked + "Trailer: X-Tenzo-Org-Id\r\n" + body + "X-Tenzo-Org-Id: other\r\n\r\n",
		"an undeclared trailer":        "POST / HTTP/1.1\r\n" + host + authorization + chunked + body + "X-Tenzo-Org-Id: other\r\n\r\n",
		"another trailer is declared":  "POST / HTTP/1.1\r\n" + host + authorization + chunked + "Trailer: X-Sum\r\n" + body + "X-Sum: 1\r\nX-Tenzo-Org-Id: other\r\nx-tenzo-key-id: other\r\n\r\n",
		"a declared trailer, odd case": "POST / HTTP/1.1\r\n" + host + authorization + chunked + "Trailer: x-tenzo-role\r\n" + body + "x-TENZO-role: admin\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := upstream.Count()
			if status := raw(t, g.addr(), request); status != 200 {
				t.Fatalf("answered %d", status)
			}
			got := upstream.Wait(before+1, 5*time.Second)[before]
			ids := identities(got)
			if len(ids) != 2 || strings.Join(ids["X-Tenzo-Org-Id"], "|") != "acme" || strings.Join(ids["X-Tenzo-Key-Id"], "|") != k.id {
				t.Errorf("the upstream sees %v", ids)
			}
			if len(got.Header["Authorization"]) != 0 {
				t.Errorf("the upstream gets the key")
			}
			if strings.HasPrefix(name, "another trailer") && got.Trailer.Get("X-Sum") != "1" {
				t.Errorf("the client's own trailer is lost: %v", got.Trailer)
			}
		})
		t.Run("open route/"+name, func(t *testing.T) {
			before := upstream.Count()
			if status := raw(t, g.addr(), strings.Replace(request, " / ", " /open ", 1)); status != 200 {
				t.Fatalf("answered %d", status)
			}
			if ids := identities(upstream.Wait(before+1, 5*time.Second)[before]); len(ids) != 0 {
				t.Errorf("the upstream sees %v", ids)
			}
		})
	}
}

// The same over HTTP/2, which has trailers but no Connection header.
func TestIdentityCannotBeForgedOverHTTP2(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	ca := harness.NewCA(t)
	upstream := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})
	g := startGateway(t, site{redis: r.URL(), cert: certificate(t, ca), handler: "reverse_proxy " + upstream.Addr()})
	k := newKey(t, r.Client(t), "acme")
	req, err := http.NewRequest(http.MethodPost, g.url()+"/", io.NopCloser(strings.NewReader("body")))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+k.secret)
	req.Header.Set("X-Tenzo-Org-Id", "other")
	req.Trailer = http.Header{"X-Tenzo-Key-Id": {"other"}, "X-Tenzo-Role": {"admin"}}
	a, err := do(clients(t, ca)["HTTP/2.0"], req)
	must(t, err)
	if a.StatusCode != 200 || a.Proto != "HTTP/2.0" {
		t.Fatalf("answered %s %d", a.Proto, a.StatusCode)
	}
	ids := identities(upstream.Wait(1, 5*time.Second)[0])
	if len(ids) != 2 || strings.Join(ids["X-Tenzo-Org-Id"], "|") != "acme" || strings.Join(ids["X-Tenzo-Key-Id"], "|") != k.id {
		t.Errorf("the upstream sees %v", ids)
	}
}

// The handler sets placeholders and fields of the access log, and passes the key itself only with
// forward_authorization.
func TestIdentityWithinCaddy(t *testing.T) {
	t.Parallel()
	r := harness.StartRedis(t)
	r.Mark()
	upstream := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true})
	g := startGateway(t, site{
		redis: r.URL(), before: "log", auth: "forward_authorization",
		handler: "reverse_proxy " + upstream.Addr() + " {\n header_up X-Seen \"{http.auth.user.id} {http.auth.user.org_id} {http.auth.user.key_name}\"\n}",
	})
	k := newKey(t, r.Client(t), "acme", "name", "Production")
	must(t, g.want(k.secret, 200))
	got := upstream.Wait(1, 5*time.Second)[0]
	if seen := got.Header.Get("X-Seen"); seen != k.id+" acme Production" {
		t.Errorf("the placeholders say %q", seen)
	}
	if got.Header.Get("Authorization") != "Bearer "+k.secret {
		t.Errorf("with forward_authorization the upstream gets %q", got.Header.Get("Authorization"))
	}
	harness.Eventually(t, 5*time.Second, func() error { return accessLogged(g.Log().String(), k) })
}

// accessLogged looks for the line of an admitted request in the access log.
func accessLogged(log string, k key) error {
	for line := range strings.Lines(log) {
		var entry struct {
			Logger string
			KeyID  string `json:"key_id"`
			OrgID  string `json:"org_id"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && strings.HasPrefix(entry.Logger, "http.log.access") && entry.KeyID == k.id && entry.OrgID == k.org {
			return nil
		}
	}
	return errNoAccessLog
}
