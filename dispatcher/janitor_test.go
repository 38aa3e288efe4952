package dispatcher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// die publishes events that become dead letters.
func (e *env) die(n int) {
	e.t.Helper()
	for i := range n {
		if _, err := e.q.Publish(e.t.Context(), queue.Event{Name: "note.finalized", OrgID: "a", ID: fmt.Sprint("e", i), Payload: []byte(`{"bad":1}`)}); err != nil {
			e.t.Fatal(err)
		}
	}
}

func TestDeadLimit(t *testing.T) {
	e := newEnv(t)
	e.webhook("a")
	d, _ := e.dispatch(newEndpoints(), func(o *Options) { o.DeadLimit = 4 })
	for i := range 2 { // not only the first update finds it
		e.die(10)
		want := []float64{6, 16}[i]
		harness.Eventually(t, 10*time.Second, func() error {
			if n, dropped := e.raw.XLen(t.Context(), "{tenzo:events}:dead").Val(), testutil.ToFloat64(d.metrics.dropped); n != 4 || dropped != want {
				return fmt.Errorf("%d dead events, %v dropped", n, dropped)
			}
			return nil
		})
	}
}

// The gauges are updated every second, but dead letters are read only when one can be due.
func TestDeadLettersAreReadOnlyWhenDue(t *testing.T) {
	e := newEnv(t)
	e.webhook("a")
	e.dispatch(newEndpoints(), nil)
	e.die(3)
	harness.Eventually(t, 10*time.Second, func() error {
		if n := e.raw.XLen(t.Context(), "{tenzo:events}:dead").Val(); n != 3 {
			return fmt.Errorf("%d dead events", n)
		}
		return nil
	})
	e.counts(1) // the first update may read them
	for _, command := range e.redis.Monitor(func() { e.counts(2) }) {
		if strings.Contains(command, `RANGE" "{tenzo:events}:dead"`) {
			t.Errorf("read dead events: %s", command)
		}
	}
}

// counts waits until the books were read so many times more, after a read that may be under way.
func (e *env) counts(more int) {
	e.t.Helper()
	e.do("config", "resetstat")
	harness.Eventually(e.t, 10*time.Second, func() error {
		if n := e.calls("xinfo|stream"); n <= more {
			return fmt.Errorf("the books were read %d times", n)
		}
		return nil
	})
}

// calls returns how often Redis has run a command.
func (e *env) calls(command string) (n int) {
	e.t.Helper()
	for line := range strings.Lines(e.raw.Info(e.t.Context(), "commandstats").Val()) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_"+command+":calls="); ok {
			if _, err := fmt.Sscanf(rest, "%d,", &n); err != nil {
				e.t.Fatal(err)
			}
		}
	}
	return n
}

func TestNextTrim(t *testing.T) {
	now := time.Now()
	for left, want := range map[time.Duration]time.Duration{
		time.Millisecond: trimSoonest, time.Minute: time.Minute, 720 * time.Hour: trimLatest,
	} {
		var trim nextTrim
		if !trim.due(now) {
			t.Error("the first look is not due at once")
		}
		trim.schedule(now, left)
		if trim.due(now.Add(want-1)) || !trim.due(now.Add(want)) {
			t.Errorf("with %s left, the next look is due at %s", left, trim.at.Sub(now))
		}
	}
}
