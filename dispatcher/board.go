package dispatcher

import (
	"slices"
	"sync"
	"time"
)

// board is everything that a session holds in memory: who has it, and what may come. Its rules of how much are the ledger's.
//
// Invariants:
//
//  1. Every event held is in jobs exactly once, from before its endpoint knows it until its last step is committed. It is in exactly one
//     place: among its endpoint's running ones (an attempt is under way or about to be), among its waiting ones, or on its way out: in
//     neither, while the step that lets go of it is committed. Neither len(jobs) exceeds max, nor bytes maxBytes, if no more is taken
//     than room says.
//  2. An event waits only while something of its endpoint runs, whose end starts it: nothing waits for what may never come. Suspects
//     have nothing waiting, unproven endpoints queuePerSlot at most. (A closed board starts nothing; all that waits is handed over.)
//  3. The ledger holds for each class what its endpoints have running and waiting, in numbers and bytes, at every moment. No place is
//     given beyond what it allows.
//  4. An endpoint with parked events that has a place for one is among ready after the next sweep at the latest, so whatever is parked
//     comes as soon as there is a place.
type board struct {
	mu sync.Mutex
	ledger
	concurrency int

	jobs      map[string]*job
	bytes     int64 // of all jobs, those on their way out too
	endpoints map[string]*endpoint
	hosts     map[string]*host
	ready     map[string]struct{} // organizations with parked events and room
	closed    bool                // nothing starts any more
}

func newBoard(o Options) *board {
	return &board{
		ledger: ledger{max: o.MaxInFlight, maxBytes: o.MaxInFlightBytes}, concurrency: o.EndpointConcurrency,
		jobs: map[string]*job{}, endpoints: map[string]*endpoint{}, hosts: map[string]*host{}, ready: map[string]struct{}{},
	}
}

// room says how many events, with how many bytes of payload, may be taken.
func (b *board) room() (n int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.max - len(b.jobs), b.maxBytes - b.bytes
}

// verdict is what becomes of an event that was taken.
type verdict int

const (
	start verdict = iota // it has a slot: run it
	wait                 // its endpoint will get to it
	park                 // no room: back to Redis
	again                // it stands in memory already
)

// admit takes an event into memory. One that stands there already stays as it is, and is returned.
func (b *board) admit(j *job) (v verdict, known *job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.jobs[j.Entry]; known != nil {
		return again, known
	}
	j.size = int64(len(j.Payload))
	b.jobs[j.Entry] = j
	b.bytes += j.size
	e := b.endpoint(j.OrgID)
	j.endpoint = e
	e.used = time.Now()
	e.large = max(j.size, e.large-e.large/8)
	switch {
	case b.closed: // to be handed over with the others
		v = wait
	case !b.fits(e.class(), e.places(), j.size):
		v = park
	case len(e.running) < e.limit:
		v = start
	case b.mayWait(e.class(), len(e.waiting), b.concurrency) > 0:
		v = wait
	default:
		v = park
	}
	switch v {
	case start:
		e.running = append(e.running, j)
		e.bytes += j.size
	case wait:
		e.waiting = append(e.waiting, j)
		e.bytes += j.size
	default:
		e.parked = true
	}
	b.count(e)
	return v, nil
}

func (b *board) endpoint(org string) *endpoint {
	e := b.endpoints[org]
	if e == nil {
		e = &endpoint{org: org, limit: min(startLimit, b.concurrency), used: time.Now(), countedAs: asUnproven}
		if b.doubtful().places > b.max/8 {
			e.limit = 1
		}
		b.endpoints[org] = e
	}
	return e
}

// count keeps the ledger right after a change of e: what was counted is taken back as what it was counted.
func (b *board) count(e *endpoint) {
	b.held[e.countedAs] = b.held[e.countedAs].minus(e.counted)
	e.counted, e.countedAs = share{places: e.places(), waiting: len(e.waiting), bytes: e.bytes}, e.class()
	b.held[e.countedAs] = b.held[e.countedAs].plus(e.counted)
}

// leave frees j's slot, and returns what may start now instead. The event itself stays in memory until drop.
func (b *board) leave(j *job) (starting []*job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := j.endpoint
	if i := slices.Index(e.running, j); i >= 0 {
		e.running = slices.Delete(e.running, i, i+1)
		e.bytes -= j.size
	}
	for !b.closed && len(e.waiting) > 0 && len(e.running) < e.limit {
		next := e.waiting[0]
		e.waiting[0] = nil
		e.waiting = e.waiting[1:]
		e.running = append(e.running, next)
		starting = append(starting, next)
	}
	b.count(e)
	b.call(e)
	return starting
}

// evict takes away what waits for e beyond the first n. It is to be parked.
func (b *board) evict(e *endpoint, n int) (evicted []*job) {
	if len(e.waiting) <= n || b.closed {
		return nil
	}
	evicted = slices.Clone(e.waiting[n:])
	clear(e.waiting[n:])
	e.waiting = e.waiting[:n]
	for _, j := range evicted {
		e.bytes -= j.size
	}
	e.parked = true
	return evicted
}

// crowded says whether a retry at once should rather give up its slot: its endpoint is a suspect, and suspects have their share.
func (b *board) crowded(j *job) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return j.endpoint.suspect && b.held[asSuspect].places > b.max*3/8
}

// drop forgets an event whose last step is committed, or which is no longer held.
func (b *board) drop(j *job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.jobs[j.Entry] != j {
		return
	}
	delete(b.jobs, j.Entry)
	b.bytes -= j.size
}

// close lets nothing start any more.
func (b *board) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}

// takeWaiting takes away the events that wait in memory.
func (b *board) takeWaiting() (waiting []*job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.endpoints {
		for _, j := range e.waiting {
			e.bytes -= j.size
		}
		waiting = append(waiting, e.waiting...)
		e.waiting = nil
		b.count(e)
	}
	return waiting
}

// job returns what is held in memory for an entry, or nil.
func (b *board) job(entry string) *job {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.jobs[entry]
}

// size is how many events are held in memory.
func (b *board) size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.jobs)
}
