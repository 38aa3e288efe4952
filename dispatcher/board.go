package dispatcher

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// How an endpoint is judged.
const (
	slowAfter      = time.Second // an attempt in flight for longer makes its endpoint a suspect
	failsToSuspect = 3           // failed attempts in a row do, and failures to connect in a row to its host
	startLimit     = 2           // attempts in flight to an endpoint of which nothing is known
	queuePerSlot   = 8           // events waiting in memory for each slot of an endpoint in good standing
	endpointIdle   = 10 * time.Minute
)

// job is one event held in memory. Its fields belong to whoever has it: the intake, then its runner, then the committer.
type job struct {
	queue.Taken
	size     int64
	body     []byte // the public payload, once projected
	endpoint *endpoint
	work     context.Context // of its runner; set before it starts
	retry    bool            // came from the retries: bounded apart from first attempts

	started time.Time // guarded by board.mu: when the attempt in flight began; zero between attempts
}

// endpoint is one organization's endpoint. Guarded by board.mu.
type endpoint struct {
	org       string
	host      *host
	limit     int    // attempts in flight at most: starts low, doubles with success up to endpoint_concurrency, halves with failure
	running   []*job // have a slot
	waiting   []*job // wait in memory; empty for suspects
	proven    bool   // the last attempt that ended was answered in good time and acknowledged
	fails     int    // failed attempts in a row
	suspect   bool   // known to be slow or failing
	counted   int    // how many of its jobs are counted on the board, as what it was then
	countedAs class
	parked    bool // has parked events in Redis, as far as known here
	used      time.Time
}

// class is the standing under which an endpoint's jobs are counted.
type class int

const (
	asProven class = iota
	asUnproven
	asSuspect
)

// host is what endpoints of many organizations may share. Only failures to connect count against it.
type host struct {
	name  string
	fails int // failures to connect in a row
	used  time.Time
}

// board is everything that a session holds in memory, and who may have how much of it.
//
// Invariants: every event held is in jobs exactly once, from before its endpoint knows it until its last step is committed; neither
// len(jobs) exceeds max, nor bytes maxBytes. Endpoints that are suspect or unproven hold at most half of max together, suspects alone
// never start an attempt beyond three eighths, so that an unproven one finds room to prove itself; those in good standing have the
// rest to themselves. What an endpoint cannot take is parked in Redis.
type board struct {
	mu          sync.Mutex
	max         int
	maxBytes    int64
	concurrency int

	jobs      map[string]*job
	bytes     int64
	retries   int    // jobs with retry set
	waiting   int    // jobs waiting in memory, over all endpoints
	held      [3]int // jobs running or waiting, by the class of their endpoint
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

// overhead is what an event costs beside its payload: the structs, a goroutine's stack, a request's buffers.
const overhead = 8 << 10

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
)

// admit takes an event into memory.
func (b *board) admit(j *job) verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
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
		return wait // handed over with the rest
	case b.hasSlot(e):
		e.running = append(e.running, j)
		b.count(e)
		return start
	case b.mayWait(e):
		e.waiting = append(e.waiting, j)
		b.waiting++
		b.count(e)
		return wait
	}
	e.parked = true
	return park
}

func (b *board) endpoint(org string) *endpoint {
	e := b.endpoints[org]
	if e == nil {
		e = &endpoint{org: org, limit: min(startLimit, b.concurrency), used: time.Now()}
		if b.held[asSuspect] > b.max/8 {
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

// mayWait says whether an event may wait in memory for its endpoint.
func (b *board) mayWait(e *endpoint) bool {
	if e.suspect || len(e.waiting) >= queuePerSlot*e.limit || b.waiting >= b.max/2 {
		return false
	}
	return e.proven || b.held[asSuspect]+b.held[asUnproven] < max(b.max/2, 1)
}

// count keeps suspects and unproven right after a change of e: what was counted is taken back as what it was counted.
func (b *board) count(e *endpoint) {
	b.held[e.countedAs] -= e.counted
	e.counted = len(e.running) + len(e.waiting)
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

// failsToTell is how many failed attempts in a row make a log line.
const failsToTell = 5

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
	was := e.fails
	if acknowledged {
		e.fails = 0
		e.proven = took < slowAfter
		e.limit = min(e.limit*2, b.concurrency)
	} else {
		e.fails++
		e.limit = max(e.limit/2, 1)
	}
	b.judge(e)
	switch {
	case acknowledged && was >= failsToTell:
		return recovered
	case e.fails == failsToTell && was == failsToTell-1:
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
	if e.parked && b.roomFor(e) > 0 {
		b.ready[e.org] = struct{}{}
	}
	return starting
}

// roomFor says how many parked events of e may come.
func (b *board) roomFor(e *endpoint) int {
	n := 0
	if b.hasSlot(e) {
		n = e.limit - len(e.running) - len(e.waiting)
	}
	if !e.suspect && b.mayWait(e) {
		n += queuePerSlot*e.limit - len(e.waiting)
	}
	return max(n, 0)
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
