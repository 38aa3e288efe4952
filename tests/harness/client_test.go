package harness_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestLoadCountsWhatWasAnswered(t *testing.T) {
	r := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true, Answer: func(r *harness.Received) harness.Answer {
		a := harness.Answer{Body: []byte("ok")}
		switch r.Number % 10 {
		case 0:
			a.Header = map[string]string{"Connection": "close"}
		case 5:
			a.Status = http.StatusTeapot
		}
		return a
	}})
	var ok, other atomic.Int64
	load := harness.Load{
		Addr: r.Addr(), Connections: 4, Requests: 1000,
		Request: func(int64) []byte { return harness.Get("test", "/", "") },
		Answered: func(_ int64, status int, _ time.Duration) {
			if status == http.StatusOK {
				ok.Add(1)
			} else {
				other.Add(1)
			}
		},
	}
	if err := load.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ok.Load() != 900 || other.Load() != 100 || r.Count() != 1000 {
		t.Errorf("%d answered with 200, %d otherwise, %d arrived", ok.Load(), other.Load(), r.Count())
	}
}

// A server that answers no request ends the load with an error.
func TestLoadEndsWithAServerThatIsGone(t *testing.T) {
	r := harness.NewReceiver(t, harness.ReceiverOptions{Plain: true, Answer: harness.Always(harness.Answer{Reset: true})})
	load := harness.Load{Addr: r.Addr(), Connections: 2, Requests: 10, Request: func(int64) []byte { return harness.Get("test", "/", "") }}
	if err := load.Run(t.Context()); err == nil {
		t.Error("no failure")
	}
}
