package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// startDispatch runs a dispatcher with the environment's Redis that may reach a receiver. stop ends
// it and waits.
func startDispatch(t *testing.T, receiver *harness.Receiver, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	args = append([]string{"dispatch", "--listen", "127.0.0.1:0", "--allow-networks", "127.0.0.0/8", "--ca-file", receiver.CAFile()}, args...)
	ended := make(chan error, 1)
	go func() { ended <- runContext(ctx, args...) }()
	stopped := false
	stop = func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("dispatch ended with %v", err)
			}
		case <-time.After(40 * time.Second):
			t.Error("dispatch did not end")
		}
	}
	t.Cleanup(stop)
	return stop
}

// runContext runs a command line and discards its output.
func runContext(ctx context.Context, args ...string) error {
	root := newRoot()
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

func awaitBooks(t *testing.T, ok func(booksJSON) bool) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, func() error {
		if b := books(t); !ok(b) {
			return fmt.Errorf("the books are %+v", b)
		}
		return nil
	})
}

func TestDispatchServesStatus(t *testing.T) {
	r := harness.StartRedis(t) // without its marker
	t.Setenv("TENZO_REDIS_URL", r.URL())
	receiver, listen := harness.NewReceiver(t, harness.ReceiverOptions{}), harness.FreeAddr(t)
	stop := startDispatch(t, receiver, "--listen", listen)
	get := func(path string) (int, string) {
		response, err := http.Get("http://" + listen + path)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	eventually := func(path string, want int, holds string) {
		t.Helper()
		harness.Eventually(t, 15*time.Second, func() error {
			if status, body := get(path); status != want || !strings.Contains(body, holds) {
				return fmt.Errorf("%s: %d %s", path, status, body)
			}
			return nil
		})
	}
	eventually("/livez", http.StatusOK, "live")
	eventually("/readyz", http.StatusServiceUnavailable, "redis")
	r.Mark()
	eventually("/readyz", http.StatusOK, `"problems":{}`)
	r.Pause()
	eventually("/readyz", http.StatusOK, `"redis":`)
	r.Resume()
	eventually("/readyz", http.StatusOK, `"problems":{}`)
	if status, _ := get("/other"); status != http.StatusNotFound {
		t.Errorf("/other: %d", status)
	}
	_, metrics := get("/metrics")
	for _, name := range []string{"tenzo_redis_up 1", "tenzo_webhook_in_flight 0", "go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(metrics, "\n"+name) {
			t.Errorf("there is no metric %s", name)
		}
	}
	if strings.Contains(metrics, "tenzo_auth_") {
		t.Error("dispatch exports metrics of keys")
	}
	stop()
	if status, _ := get("/livez"); status != 0 {
		t.Errorf("after its end it still answers %d", status)
	}
}

// TestDispatchFlagsAreOptions compares the flags with the options: their names, defaults and
// values.
func TestDispatchFlagsAreOptions(t *testing.T) {
	options := func(args ...string) (dispatcher.Options, error) {
		cmd := &cobra.Command{Use: "dispatch"}
		d := newDispatchFlags(cmd)
		if err := cmd.ParseFlags(args); err != nil {
			return dispatcher.Options{}, err
		}
		return d.options()
	}
	got, err := options()
	if diff := cmp.Diff(dispatcher.Defaults(), got); err != nil || diff != "" {
		t.Errorf("without flags %v:\n%s", err, diff)
	}
	got, err = options("--retry-backoff", "1s,2s", "--timeout", "10s", "--endpoint-concurrency", "3", "--max-in-flight", "64",
		"--max-in-flight-bytes", "64MiB", "--max-payload", "512KiB", "--dead-retention", "7d", "--dead-limit", "10",
		"--pass-members", "note.finalized=meeting.location,transcript.sentiment", "--pass-members", "note.finalized=notes.extra",
		"--pass-event", "candidate.hired", "--pass-event", "candidate.left", "--allow-http", "--allow-networks", "127.0.0.0/8,::1/128",
		"--ca-file", "/ca.pem", "--grace-period", "5s")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{}
	if err := json.Unmarshal([]byte(`{"RetryBackoff":[1000000000,2000000000],"Timeout":10000000000,"EndpointConcurrency":3,"MaxInFlight":64,
		"MaxInFlightBytes":67108864,"MaxPayload":524288,"DeadRetention":604800000000000,"DeadLimit":10,
		"PassMembers":{"note.finalized":["meeting.location","transcript.sentiment","notes.extra"]},"PassEvents":["candidate.hired","candidate.left"],
		"AllowHTTP":true,"AllowNetworks":["127.0.0.0/8","::1/128"],"CAFile":"/ca.pem","GracePeriod":5000000000,
		"Version":"","Logger":null,"Metrics":null}`), &want); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]any{}
	if err := json.Unmarshal(text, &have); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	for _, args := range [][]string{
		{"--retry-backoff", "0s,1s,2s,3s"},
		{"--retry-backoff", "soon"},
		{"--retry-backoff", ","},
		{"--timeout", "-1s"},
		{"--max-payload", "huge"},
		{"--allow-networks", "here"},
		{"--pass-members", "note.finalized"},
		{"--dead-retention", "xd"},
		{"--max-in-flight", "0"},
	} {
		if _, err := options(args...); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}
