package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// history is what happened in a seed. Times are durations since its start, on the monotonic clock.
type history struct {
	start time.Time

	mu       sync.Mutex
	notes    []note
	found    []violation
	events   map[string]*event // by organization and id
	attempts []attempt
	requests []request
	faults   []fault
	secrets  map[string][]secret // by organization, oldest first
	replays  []time.Duration     // replay requests, answered or not
}

// note is a line of the history.
type note struct {
	at        time.Duration
	who, text string
}

// violation is a check that failed.
type violation struct {
	check, text string
	about       string // finds the lines of the history that belong to it
	lines       []string
}

func (v violation) String() string {
	return fmt.Sprintf("%s: %s", v.check, strings.Join(append([]string{v.text}, v.lines...), "\n  "))
}

// event is what was published under one id of an organization.
type event struct {
	org, id string
	acked   int    // publications that Redis confirmed
	maybe   int    // publications without a confirmation
	invalid string // the reason for which it must die; empty for a deliverable event
}

// attempt is a request that a receiver got.
type attempt struct {
	// Its arrival, and the earliest moment at which it had failed or succeeded.
	at, end      time.Duration
	org, id      string
	acknowledged bool
	problem      string // what is wrong with the request
}

// request is a request that a client sent to a gateway.
type request struct {
	start, end time.Duration
	gateway    int
	key        *key
	status     int  // 0 without an answer
	sent       bool // false where no connection was made
	code       string
}

// fault is a time in which something was broken.
type fault struct {
	begin, end time.Duration
	name       string
}

// secret is a webhook secret and the moment at which setting it began.
type secret struct {
	text string
	from time.Duration
}

func newHistory() *history {
	return &history{start: time.Now(), events: map[string]*event{}, secrets: map[string][]secret{}}
}

func (h *history) now() time.Duration { return time.Since(h.start) }

func (h *history) note(who, format string, args ...any) {
	at := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, note{at, who, fmt.Sprintf(format, args...)})
}

// violate records a violation; about selects the lines of the history that are shown with it.
func (h *history) violate(check, about, format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found = append(h.found, violation{check: check, about: about, text: fmt.Sprintf(format, args...)})
}

// violations returns at most ten violations, each with its excerpt of the history.
func (h *history) violations() []violation {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := slices.Clone(h.found[:min(len(h.found), 10)])
	for i := range found {
		if found[i].about == "" {
			continue
		}
		for _, n := range h.sorted() {
			if strings.Contains(n.text, found[i].about) || n.who == "fault" {
				found[i].lines = append(found[i].lines, n.String())
			}
		}
		if n := len(found[i].lines); n > 60 {
			found[i].lines = append(found[i].lines[:60], fmt.Sprintf("… %d more lines in history.txt", n-60))
		}
	}
	return found
}

func (h *history) sorted() []note {
	notes := slices.Clone(h.notes)
	slices.SortStableFunc(notes, func(a, b note) int { return cmp.Compare(a.at, b.at) })
	return notes
}

func (n note) String() string { return fmt.Sprintf("%9.3f %-10s %s", n.at.Seconds(), n.who, n.text) }

// String is the whole history.
func (h *history) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var b strings.Builder
	for _, n := range h.sorted() {
		fmt.Fprintln(&b, n)
	}
	for _, v := range h.found {
		fmt.Fprintf(&b, "VIOLATION %s: %s\n", v.check, v.text)
	}
	return b.String()
}

// fault records a fault while f runs.
func (h *history) fault(name string, f func()) {
	h.note("fault", "begins: %s", name)
	h.mu.Lock()
	i := len(h.faults)
	h.faults = append(h.faults, fault{begin: h.now(), end: time.Hour, name: name})
	h.mu.Unlock()
	// Also where the harness ends this goroutine.
	defer func() {
		h.mu.Lock()
		h.faults[i].end = h.now()
		h.mu.Unlock()
		h.note("fault", "ends: %s", name)
	}()
	f()
}

// replaysUntil counts the replays up to a time.
func (h *history) replaysUntil(t time.Duration) int {
	n := 0
	for _, at := range h.replays {
		if at <= t {
			n++
		}
	}
	return n
}

// faultsBetween counts the faults that touch a time.
func (h *history) faultsBetween(from, to time.Duration) int {
	n := 0
	for _, f := range h.faults {
		if f.begin <= to && f.end >= from {
			n++
		}
	}
	return n
}
