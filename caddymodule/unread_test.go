package caddymodule

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// refusingSites are sites that refuse: by themselves, and through error routes.
func refusingSites(t *testing.T) map[string]string {
	t.Helper()
	startStore(t)
	plain, passed := harness.FreeAddr(t), harness.FreeAddr(t)
	load(t, fmt.Sprintf(`{
	admin off
}
http://%s {
	tenzo_auth
	respond "let in"
}
http://%s {
	tenzo_auth {
		pass_errors
	}
	respond "let in"
	handle_errors {
		respond "{err.status_code}"
	}
}`, plain, passed))
	return map[string]string{"plain": plain, "pass_errors": passed}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// A client that waits for 100 Continue gets the refusal at once, and is not asked for its body.
func TestRefusalInsteadOfContinue(t *testing.T) {
	for name, addr := range refusingSites(t) {
		for _, length := range []string{"Content-Length: 5", "Content-Length: 500000", "Transfer-Encoding: chunked"} {
			t.Run(name+" "+length, func(t *testing.T) {
				conn := dial(t, addr)
				_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\n%s\r\n\r\n", length)
				began := time.Now()
				response, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				if d := time.Since(began); response.StatusCode != 401 || !response.Close || d > 10*time.Second {
					t.Errorf("%d after %s, close: %v", response.StatusCode, d, response.Close)
				}
				if _, err := io.ReadAll(response.Body); err != nil {
					t.Error(err)
				}
				// The connection ends.
				if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("%d bytes, %v", n, err)
				}
			})
		}
	}
}

// A proxy that sends the whole body before it reads the answer, as many do, gets the answer.
func TestRefusalOfAnUploadArrives(t *testing.T) {
	for name, addr := range refusingSites(t) {
		for _, version := range []string{"1.0", "1.1"} {
			for _, size := range []int{1, 100_000, 10 << 20} {
				t.Run(fmt.Sprint(name, " ", version, " ", size), func(t *testing.T) {
					for range 5 {
						conn := dial(t, addr)
						_, err := fmt.Fprintf(conn, "POST / HTTP/%s\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n", version, size)
						if err == nil {
							_, err = io.CopyN(conn, zeros{}, int64(size))
						}
						if err != nil {
							t.Fatalf("sending: %v", err)
						}
						response, err := http.ReadResponse(bufio.NewReader(conn), nil)
						if err != nil {
							t.Fatal(err)
						}
						if _, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 401 {
							t.Errorf("%d, %v", response.StatusCode, err)
						}
					}
				})
			}
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// The answer does not wait for a body that comes slowly, and the connection is used again once the
// body has come.
func TestRefusalOfASlowUpload(t *testing.T) {
	conn := dial(t, refusingSites(t)["plain"])
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n12345")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(response.Body); err != nil || response.StatusCode != 401 || response.Close {
		t.Errorf("%d, close: %v, %v", response.StatusCode, response.Close, err)
	}
	_, _ = io.WriteString(conn, "67890GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	if response, err = http.ReadResponse(reader, nil); err != nil || response.StatusCode != 401 {
		t.Errorf("the second request: %v", err)
	}
}

// A body that does not end is not read for longer than discardTime.
func TestEndlessUploadIsCutOff(t *testing.T) {
	conn := dial(t, refusingSites(t)["plain"])
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
	began := time.Now()
	for {
		if _, err := io.WriteString(conn, "1\r\nx\r\n"); err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond) // the pace of the client
		if time.Since(began) > 3*discardTime {
			t.Fatal("it is read on and on")
		}
	}
	if d := time.Since(began); d < discardTime/2 {
		t.Errorf("cut off after %s", d)
	}
}

// Where the process is busy with the bodies of others, a refusal still comes, and its body is not
// read.
func TestDiscardIsBoundedForTheProcess(t *testing.T) {
	addr := refusingSites(t)["plain"]
	for range discardSlots {
		discardSlot <- struct{}{}
	}
	t.Cleanup(func() {
		for range discardSlots {
			<-discardSlot
		}
	})
	conn := dial(t, addr)
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10000000\r\n\r\n"+strings.Repeat("x", 1000))
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != 401 {
		t.Fatalf("%v", err)
	}
	_, _ = io.ReadAll(response.Body)
	if n, _ := conn.Read(make([]byte, 1)); n != 0 {
		t.Error("there is more")
	}
}
