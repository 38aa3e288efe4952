package dispatcher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// logged is a reporter that logs into memory.
type logged struct {
	*reporter
	t   *testing.T
	out bytes.Buffer
}

func newLogged(t *testing.T) *logged {
	l := &logged{t: t}
	l.reporter = newReporter(slog.New(slog.NewJSONHandler(&l.out, nil)))
	return l
}

// lines returns what was logged since the last call.
func (l *logged) lines() (lines []map[string]any) {
	l.t.Helper()
	for d := json.NewDecoder(&l.out); d.More(); {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			l.t.Fatal(err)
		}
		lines = append(lines, line)
	}
	l.out.Reset()
	return lines
}

func (l *logged) die(org string, n int) {
	for range n {
		ev := newEvent(queue.LeasedEvent{OrgID: org, ID: fmt.Sprint("e", n), Event: "note.finalized", LastError: "answered 500"})
		l.deadLettered(ev, queue.ReasonRetriesExhausted)
	}
}

// Events that die one after the other make a line at once, and then one a minute and organization
// with their number.
func TestOneLineAMinuteForDeadEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t)
		total, lines := 0, 0
		for second := range 16 * 60 {
			l.die("a", 1)
			if second%100 == 0 {
				l.die("b", 1)
			}
			l.logDue()
			for _, line := range l.lines() {
				if second == 0 && (line["msg"] != "event moved to dead letters" || line["reason"] != "retries_exhausted" ||
					line["id"] != "e1" || line["event"] != "note.finalized" || line["error"] != "answered 500") {
					t.Errorf("the first line: %v", line)
				}
				if line["org_id"] != "a" {
					continue
				}
				lines++
				if n, many := line["events"].(float64); many {
					total += int(n)
				} else {
					total++
				}
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		l.logDue()
		for _, line := range l.lines() {
			if line["org_id"] == "a" {
				lines++
				total += int(line["events"].(float64))
			}
		}
		if total != 16*60 || lines > 18 {
			t.Errorf("%d lines for %d events, want at most 18 for %d", lines, total, 16*60)
		}
	})
}

// The last event of a burst is logged although no other follows it, and an organization that was
// quiet for a minute has its next event logged at once.
func TestDigestOfABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t)
		l.die("a", 3)
		if got := l.lines(); len(got) != 1 {
			t.Fatalf("at once: %v", got)
		}
		time.Sleep(59 * time.Second)
		l.logDue()
		if got := l.lines(); len(got) != 0 {
			t.Fatalf("within the minute: %v", got)
		}
		time.Sleep(time.Second)
		l.logDue()
		if got := l.lines(); len(got) != 1 || got[0]["events"] != 2.0 || got[0]["msg"] != "events moved to dead letters" {
			t.Fatalf("after the minute: %v", got)
		}
		time.Sleep(time.Minute)
		l.logDue()
		if len(l.dead.tallies) != 0 {
			t.Error("a quiet organization is not forgotten")
		}
		l.die("a", 1)
		if got := l.lines(); len(got) != 1 || got[0]["events"] != nil {
			t.Errorf("the next burst: %v", got)
		}
	})
}

// Of many organizations no event is lost, neither to the limit on lines nor to the bound on memory,
// and a shutdown logs the rest.
func TestDigestLosesNoCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t)
		const orgs = digestOrgs + 500
		for i := range orgs {
			l.die(fmt.Sprint("org", i), 1)
		}
		if n := len(l.dead.tallies); n > digestOrgs+1 {
			t.Errorf("%d organizations are counted", n)
		}
		total := 0
		count := func() {
			for _, line := range l.lines() {
				if n, many := line["events"].(float64); many {
					total += int(n)
				} else {
					total++
				}
			}
		}
		count()
		if total != 30 {
			t.Errorf("%d lines at once", total)
		}
		for range 60 {
			time.Sleep(time.Second)
			l.logDue()
		}
		count()
		if total < 300 || total > 31+5*60+500 {
			t.Errorf("%d events are logged after a minute", total)
		}
		l.logRest()
		count()
		l.logRest()
		count()
		if total != orgs {
			t.Errorf("%d events are logged, want %d", total, orgs)
		}
	})
}

// Skipped events are logged in the same way.
func TestDigestOfSkippedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLogged(t)
		l.limit = rate.NewLimiter(rate.Inf, 1)
		for range 4 {
			l.skipped(newEvent(queue.LeasedEvent{OrgID: "a", ID: "x", Event: "note.finalized"}))
		}
		time.Sleep(time.Minute)
		l.logDue()
		got := l.lines()
		if len(got) != 2 || got[0]["msg"] != "event skipped: no active webhook" || got[0]["id"] != "x" || got[1]["events"] != 3.0 {
			t.Errorf("%v", got)
		}
	})
}
