package cache

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// model is what a Cache should do, for one key, in plain terms: it knows the whole history, and
// derives from it what a request may get.
type model struct {
	now      time.Duration
	pushedAt int // the step of the last push
	gapAt    int // the step of the last gap
	reads    []modelRead
	held     int // index of the read whose answer is held, or -1
	joinable int // index of the read that the next request joins, or -1
}

type modelRead struct {
	step    int // at which it began
	began   time.Duration
	version int // of the record when Redis was asked
	call    *Call[string]
	ended   bool
}

// state is fixture.state for the model.
func (m *model) state() string {
	if m.held >= 0 {
		r := m.reads[m.held]
		young := m.now-r.began < ttl
		switch {
		case young && r.step > m.gapAt:
			return fmt.Sprint("fresh ", r.version)
		case m.joinable >= 0:
			return "read"
		case young:
			return fmt.Sprint("suspect ", r.version)
		}
	}
	if m.joinable >= 0 {
		return "read"
	}
	return ""
}

// TestModel makes random histories of one key: records that change, pushes, gaps, time that passes,
// and up to four reads in flight that end in any order, with or without an answer. After each step
// the cache must be in the state of the model.
func TestModel(t *testing.T) {
	for seed := range uint64(1000) {
		random := rand.New(rand.NewPCG(seed, 1))
		f := newFixture()
		m := &model{held: -1, joinable: -1, pushedAt: -1, gapAt: -1}
		version := 0
		var history []string
		for step := range 60 {
			switch what := random.IntN(10); {
			case what < 1:
				version++ // and the announcement is lost
				history = append(history, fmt.Sprint("record ", version))
			case what < 3:
				version++
				f.Forget("k")
				m.pushedAt, m.held, m.joinable = step, -1, -1
				history = append(history, fmt.Sprint("push ", version))
			case what < 4:
				f.Gap()
				m.gapAt, m.joinable = step, -1
				history = append(history, "gap")
			case what < 5:
				d := time.Duration(random.IntN(30)) * time.Second
				f.clock.pass(d)
				m.now += d
				history = append(history, fmt.Sprint("pass ", d))
			case what < 8:
				history = append(history, m.begin(t, f, step, version, random.IntN(2) == 0))
			default:
				history = append(history, m.finish(f, random))
			}
			if got, want := f.state("k"), m.state(); got != want {
				t.Fatalf("seed %d: the cache is in state %q, the model in %q, after %q", seed, got, want, history)
			}
		}
	}
}

// begin lets a request, or a refresh that wants a read even where the answer is fresh, begin or
// join a read.
func (m *model) begin(t *testing.T, f *fixture, step, version int, refresh bool) string {
	before := m.state()
	begin := f.BeginUnlessFresh
	if refresh {
		begin = f.Begin
	}
	call, mine := begin("k")
	fresh := len(before) > 5 && before[:5] == "fresh"
	switch {
	case fresh && !refresh:
		if mine || result(call) != before[6:] {
			t.Fatalf("a request was not given what is %s: %v, %s", before, mine, result(call))
		}
		return "request"
	case m.joinable >= 0:
		if mine || call != m.reads[m.joinable].call {
			t.Fatalf("a request did not join the read in flight (%v)", mine)
		}
		return "join"
	}
	if !mine {
		t.Fatalf("a request joined a read that was interrupted")
	}
	m.reads = append(m.reads, modelRead{step: step, began: m.now, version: version, call: call})
	m.joinable = len(m.reads) - 1
	return fmt.Sprint("begin ", m.joinable)
}

// finish ends one of the reads in flight.
func (m *model) finish(f *fixture, random *rand.Rand) string {
	var open []int
	for i, r := range m.reads {
		if !r.ended {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return "nothing to finish"
	}
	i := open[random.IntN(len(open))]
	r := &m.reads[i]
	r.ended = true
	var err error
	if random.IntN(4) == 0 {
		err = errDown
	}
	f.Finish("k", r.call, fmt.Sprint(r.version), err)
	// Stored is the answer of a read that no push and no later read has overtaken.
	overtaken := r.step < m.pushedAt
	for _, later := range m.reads[i+1:] {
		overtaken = overtaken || later.step > r.step
	}
	if m.joinable == i {
		m.joinable = -1
	}
	if err == nil && !overtaken {
		m.held = i
	}
	return fmt.Sprint("finish ", i, " ", err)
}
