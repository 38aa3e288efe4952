package dispatcher

import (
	"log/slog"
	"time"
)

// How often a digest logs the events of one organization, and of how many organizations it keeps
// count.
const (
	digestEvery = time.Minute
	digestOrgs  = 10_000
)

// otherOrgs stands for the organizations beyond digestOrgs.
const otherOrgs = "(others)"

// digest logs what happens to many events of an organization. The first one is logged at once.
// Those of the minute after it are counted, and logged together at its end. It belongs to a
// reporter and is guarded by the reporter's mutex.
type digest struct {
	level    slog.Level
	one, all string // the messages for one event and for several
	tallies  map[string]*tally
}

func newDigest(level slog.Level, one, all string) *digest {
	return &digest{level: level, one: one, all: all, tallies: map[string]*tally{}}
}

// tally is what is not logged yet of one organization.
type tally struct {
	loggedAt time.Time // of the last line; zero before the first
	events   int
	last     []any // the fields of the last event
}

// add counts an event. The fields are those of its line.
func (d *digest) add(org string, fields ...any) {
	t := d.tallies[org]
	if t == nil && len(d.tallies) >= digestOrgs {
		org = otherOrgs
		t = d.tallies[org]
	}
	if t == nil {
		t = &tally{}
		d.tallies[org] = t
	}
	t.events++
	t.last = fields
}

// line is a log line that is due.
type line struct {
	level  slog.Level
	msg    string
	fields []any
}

// take returns the line of org if one is due and allowed, and counts anew.
func (d *digest) take(org string, now time.Time, allowed func() bool) (line, bool) {
	t := d.tallies[org]
	if t == nil || t.events == 0 || now.Sub(t.loggedAt) < digestEvery || !allowed() {
		return line{}, false
	}
	l := line{level: d.level, msg: d.one, fields: append([]any{"org_id", org}, t.last...)}
	if t.events > 1 {
		l.msg = d.all
		l.fields = append(l.fields, "events", t.events)
	}
	t.events, t.last, t.loggedAt = 0, nil, now
	return l, true
}

// due returns the lines that are due and allowed, and forgets organizations of which nothing was
// heard for a while.
func (d *digest) due(now time.Time, allowed func() bool) (lines []line) {
	for org, t := range d.tallies {
		if l, ok := d.take(org, now, allowed); ok {
			lines = append(lines, l)
		} else if t.events == 0 && now.Sub(t.loggedAt) >= digestEvery {
			delete(d.tallies, org)
		}
	}
	return lines
}

// rest returns what is not logged yet as one line, and counts anew. It is the last line of a
// digest.
func (d *digest) rest() (line, bool) {
	var events, orgs int
	for _, t := range d.tallies {
		if t.events > 0 {
			events += t.events
			orgs++
		}
	}
	clear(d.tallies)
	return line{d.level, d.all, []any{"organizations", orgs, "events", events}}, events > 0
}
