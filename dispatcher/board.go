package dispatcher

import (
	"slices"
	"sync"
	"time"
)

// How an endpoint is judged.
const (
	slowAfter      = time.Second // an attempt in flight for longer makes its endpoint a suspect
	failsToSuspect = 3           // failed attempts in a row do, and failures to connect in a row to its host
	startLimit     = 2           // attempts in flight to an endpoint of which nothing is known
	queuePerSlot   = 8           // events waiting in memory for each slot of an endpoint in good standing
	endpointIdle   = 10 * time.Minute

	// An endpoint that takes much longer than it did at its best gets no further attempts in parallel: they would wait there for each
	// other, or here for the processor.
	crowdedBy = 10 * time.Millisecond
)

// board is everything that a session holds in memory, and who may have how much of it.
//
// Invariants: every event held is in jobs exactly once, from before its endpoint knows it until its last step is committed; neither
// len(jobs) exceeds max, nor bytes maxBytes. Attempts to endpoints that are suspect or unproven are at most half of max together;
// suspects start none beyond three eighths, so that an unproven one finds room to prove itself; suspects have nothing waiting in
// memory, unproven ones little. Those in good standing have the rest to themselves. What an endpoint cannot take is parked in Redis.
type board struct {
	mu          sync.Mutex
	max         int
	maxBytes    int64
	concurrency int

	jobs      map[string]*job
	bytes     int64
	retries   int    // jobs with retry set
	waiting   int    // jobs waiting in memory, over all endpoints
	held      [3]int // jobs running, by the class of their endpoint
	endpoints map[string]*endpoint
	hosts     map[string]*host
	ready     map[string]struct{} // organizations with parked events and room
	closed    bool                // nothing starts any more
}

func newBoard(o Options) *board {
	return &board{
		max: o.MaxInFlight, maxBytes: o.MaxInFlightBytes, concurrency: o.EndpointConcurrency,
		jobs: map[string]*job{}, endpoints: map[string]*endpoint{}, hosts: map[string]*host{}, ready: map[string]struct{}{},
	}
}

// room says how many events, with how many bytes of payload, may be taken.
func (b *board) room() (n int, bytes int64, retries int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.max - len(b.jobs), b.maxBytes - b.bytes, max(b.max/2, 1) - b.retries
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
	if j.retry {
		b.retries++
	}
	e := b.endpoint(j.OrgID)
	j.endpoint = e
	e.used = time.Now()
	switch {
	case b.closed:
		e.waiting = append(e.waiting, j) // to be handed over with the others
		b.waiting++
		return wait, nil
	case b.hasSlot(e):
		e.running = append(e.running, j)
		b.count(e)
		return start, nil
	case b.mayWait(e) > 0:
		e.waiting = append(e.waiting, j)
		b.waiting++
		b.count(e)
		return wait, nil
	}
	e.parked = true
	return park, nil
}

func (b *board) endpoint(org string) *endpoint {
	e := b.endpoints[org]
	if e == nil {
		e = &endpoint{org: org, limit: min(startLimit, b.concurrency), used: time.Now()}
		if b.held[asSuspect]+b.held[asUnproven] > b.max/8 {
			e.limit = 1
		}
		b.endpoints[org] = e
	}
	return e
}

// hasSlot says whether an attempt may start now.
func (b *board) hasSlot(e *endpoint) bool {
	if len(e.running) >= e.limit {
		return false
	}
	switch doubtful := b.held[asSuspect] + b.held[asUnproven]; {
	case e.suspect:
		return b.held[asSuspect] < max(b.max*3/8, 1) && doubtful < max(b.max/2, 1)
	case !e.proven:
		return doubtful < max(b.max/2, 1)
	}
	return true
}

// mayWait says how many more events may wait in memory for an endpoint.
func (b *board) mayWait(e *endpoint) int {
	switch {
	case e.suspect:
		return 0
	case !e.proven:
		return min(queuePerSlot-len(e.waiting), b.max/8-b.waiting)
	}
	return min(queuePerSlot*b.concurrency-len(e.waiting), b.max/2-b.waiting)
}

// crowded says whether a retry at once should rather give up its slot: its endpoint is a suspect, and suspects have their share.
func (b *board) crowded(j *job) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return j.endpoint.suspect && b.held[asSuspect] > b.max*3/8
}

// count keeps suspects and unproven right after a change of e: what was counted is taken back as what it was counted.
func (b *board) count(e *endpoint) {
	b.held[e.countedAs] -= e.counted
	e.counted = len(e.running)
	switch {
	case e.suspect:
		e.countedAs = asSuspect
	case !e.proven:
		e.countedAs = asUnproven
	default:
		e.countedAs = asProven
	}
	b.held[e.countedAs] += e.counted
}

// begin notes that an attempt of j begins, to a host.
func (b *board) begin(j *job, hostname string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j.started = time.Now()
	h := b.hosts[hostname]
	if h == nil {
		h = &host{name: hostname}
		b.hosts[hostname] = h
	}
	h.used = j.started
	j.endpoint.host = h
}

// standing is a change in an endpoint's standing that is worth a log line.
type standing int

const (
	unchanged standing = iota
	failing
	recovered
)

// How many failed attempts in a row make a log line, and how often one endpoint may.
const (
	failsToTell = 5
	tellEvery   = time.Minute
)

// end notes how an attempt ended.
func (b *board) end(j *job, acknowledged, connectFailed bool) standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := j.endpoint
	took := time.Since(j.started)
	j.started = time.Time{}
	if e.host != nil {
		if connectFailed {
			e.host.fails++
		} else {
			e.host.fails = 0
		}
	}
	if acknowledged {
		e.fails = 0
		e.proven = took < slowAfter
		if e.best == 0 || took < e.best {
			e.best = took
		} else {
			e.best += e.best / 64 // what was best once is forgotten in time
		}
		if took <= 4*e.best+crowdedBy {
			e.limit = min(e.limit*2, b.concurrency)
		}
	} else {
		e.fails++
		e.limit = max(e.limit/2, 1)
	}
	b.judge(e)
	switch {
	case acknowledged && e.told:
		e.told = false
		return recovered
	case e.fails >= failsToTell && !e.told && time.Since(e.toldAt) > tellEvery:
		e.told, e.toldAt = true, time.Now()
		return failing
	}
	return unchanged
}

// judge decides whether e is a suspect. A suspect is unproven until it has shown better.
func (b *board) judge(e *endpoint) {
	slow := false
	for _, j := range e.running {
		if !j.started.IsZero() && time.Since(j.started) > slowAfter {
			slow = true
			break
		}
	}
	e.suspect = slow || e.fails >= failsToSuspect || e.host != nil && e.host.fails >= failsToSuspect
	if e.suspect {
		e.proven = false
	}
	b.count(e)
}

// leave frees j's slot, and returns what may start now instead. The event itself stays in memory until drop.
func (b *board) leave(j *job) []*job {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := j.endpoint
	if i := slices.Index(e.running, j); i >= 0 {
		e.running = slices.Delete(e.running, i, i+1)
	}
	b.count(e)
	return b.next(e)
}

// next gives free slots of e to those who wait, and notes whether parked ones may come.
func (b *board) next(e *endpoint) (starting []*job) {
	for !b.closed && len(e.waiting) > 0 && b.hasSlot(e) {
		j := e.waiting[0]
		e.waiting[0] = nil
		e.waiting = e.waiting[1:]
		b.waiting--
		e.running = append(e.running, j)
		starting = append(starting, j)
		b.count(e)
	}
	if e.parked && b.hungry(e) {
		b.ready[e.org] = struct{}{}
	}
	return starting
}

// slotsFor says for how many parked events of e there is a slot.
func (b *board) slotsFor(e *endpoint) int {
	if !b.hasSlot(e) {
		return 0
	}
	return max(0, e.limit-len(e.running)-len(e.waiting))
}

// hungry says whether parked events of e should come: it has slots and nothing waiting for them, or so little waiting that it is worth
// a round trip.
func (b *board) hungry(e *endpoint) bool {
	return len(e.waiting) == 0 && b.slotsFor(e) > 0 || b.mayWait(e) >= queuePerSlot*b.concurrency/2
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
	if j.retry {
		b.retries--
	}
}
