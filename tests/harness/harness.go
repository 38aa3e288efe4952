// Package harness starts the real parts that tests run against: redis-server (alone, with TLS, behind Sentinel, as a Cluster), a TCP
// proxy that goes mute or cuts, an HTTPS receiver that answers by script, and the built tenzo-gateway binary.
//
// Everything belongs to the test that started it and ends with it, by its process id, through t.Cleanup. What a machine lacks fails the
// test; nothing here ever skips one. All of it listens on loopback only, and the package imports nothing else of this module, so that
// the tests of every package may import it.
package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// NextMillisecond waits for the clock's next one: what is made in the same, such as keys, stands in no order of time.
func NextMillisecond() {
	for now := time.Now().UnixMilli(); time.Now().UnixMilli() == now; {
		runtime.Gosched()
	}
}

// Eventually calls cond until it returns nil, and fails the test with its last error where that does not happen within the time given.
// It is how tests wait: for a condition, never for a span of time.
func Eventually(t testing.TB, within time.Duration, cond func() error) {
	t.Helper()
	if err := Poll(within, cond); err != nil {
		t.Fatalf("not within %v: %v", within, err)
	}
}

// Poll calls cond until it returns nil or the time is over, and returns its last error.
func Poll(within time.Duration, cond func() error) error {
	deadline := time.Now().Add(within)
	pause := time.Millisecond
	for {
		err := cond()
		if err == nil {
			return nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			return err
		}
		time.Sleep(min(pause, left))
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// Ports come from below the range in which the kernel picks ports for outgoing connections and for ":0", so that nobody takes one
// between the choice and the use. Redis Cluster also listens on the port 10,000 above.
const firstPort, lastPort = 20000, 22700

// FreePort reserves a TCP port on loopback until the test ends: no other test of this or any other test process gets it meanwhile.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		// An abstract unix socket is the reservation: it is seen by every process of the machine and goes with this one.
		claim, err := net.Listen("unix", fmt.Sprintf("@tenzo-gateway-test-port-%d", port))
		if err != nil {
			continue
		}
		if !bindable(port) || !bindable(port+10000) {
			_ = claim.Close()
			continue
		}
		t.Cleanup(func() { _ = claim.Close() })
		return port
	}
	t.Fatal("no free port")
	return 0
}

// FreeAddr is FreePort as an address on 127.0.0.1.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}

func bindable(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
