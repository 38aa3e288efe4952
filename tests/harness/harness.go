// Package harness starts the real components that tests run against: redis-server (alone, with TLS,
// behind Sentinel, as a Cluster), a TCP proxy that blackholes or resets connections, an HTTPS
// receiver that answers by script, and the built tenzo-gateway binary.
//
// Everything belongs to the test that started it and ends with it, by process id, through
// t.Cleanup. A missing program fails the test; nothing here ever skips one. All servers listen on
// loopback only. The package imports no other package of this module, so that the tests of every
// package may import it.
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

// NextMillisecond waits for the clock's next millisecond. Keys that are created in the same one
// have no order.
func NextMillisecond() {
	for now := time.Now().UnixMilli(); time.Now().UnixMilli() == now; {
		runtime.Gosched()
	}
}

// Eventually calls cond until it returns nil, and fails the test with the last error after the
// given time. Tests wait for conditions with it, and never for a fixed time.
func Eventually(t testing.TB, within time.Duration, cond func() error) {
	t.Helper()
	if err := Poll(within, cond); err != nil {
		t.Fatalf("not within %v: %v", within, err)
	}
}

// Poll calls cond until it returns nil or the time is over, and returns the last error.
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

// Ports are below the range from which the kernel chooses ports for outgoing connections and for
// ":0", so that none is taken between choice and use. Redis Cluster also listens on the port 10,000
// above.
const firstPort, lastPort = 20000, 22700

// FreePort reserves a TCP port on loopback until the test ends. No other test process gets it
// meanwhile.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		// The reservation is an abstract unix socket: every process of the machine sees it, and it
		// ends with this process.
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

// FreeAddr returns a FreePort as an address on 127.0.0.1.
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
