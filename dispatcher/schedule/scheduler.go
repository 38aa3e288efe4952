// Package schedule decides which events may be attempted now, which wait in memory and which go
// back to Redis, so that no organization's endpoint delays another's.
//
// It is pure: it knows no Redis, starts no goroutine and has no clock. The caller passes the time
// in and carries out what a Scheduler returns. Its rules of how much an endpoint may have are
// quota.go's, its judgement of endpoints is endpoint_health.go's, and the events that wait in Redis
// for room are parked.go's.
package schedule

import (
	"slices"
	"sync"
	"time"
)

// Limits bound what a Scheduler admits.
type Limits struct {
	Events      int   // events in memory
	Bytes       int64 // bytes of payload in memory
	Concurrency int   // attempts in flight to one endpoint
}

// Event is one event in memory. The caller fills the exported fields before it admits the event and
// does not change them afterwards.
type Event struct {
	Entry string // its id in the stream, by which the scheduler knows it
	OrgID string
	Size  int64 // bytes of its payload
	Value any   // the caller's own; never read here

	// Guarded by Scheduler.mu.
	endpoint *endpoint
	started  time.Time // when the attempt in flight began; zero between attempts
}

// Scheduler tracks every event that a session holds in memory and decides which may start, wait or
// be parked. It is safe for concurrent use.
//
// Invariants:
//
//  1. Every event in memory is in events exactly once, from before its endpoint knows it until
//     Forget, which the caller calls once the event's last step is committed. It is in exactly one
//     place: among its endpoint's running events (an attempt is under way or about to be), among
//     its waiting events, or on its way out: in neither, while the step that lets go of it is
//     committed. As long as the caller dequeues no more than Room allows, neither their number nor
//     their bytes exceed the limits.
//  2. An event waits only while another of its endpoint runs, whose end starts it: nothing waits
//     for what may never come. Unhealthy endpoints have nothing waiting, endpoints of unknown
//     health have queuePerSlot events waiting at most. (A closed scheduler starts nothing; Drain
//     takes all that waits.)
//  3. The quota counts for each tier what its endpoints have running and waiting, in events and
//     bytes, at every moment. No place is given beyond what it allows.
//  4. An endpoint with parked events and room for one is in unparkReady after the next Sweep at the
//     latest, so whatever is parked comes back as soon as there is room.
type Scheduler struct {
	mu sync.Mutex
	quota
	concurrency int

	events      map[string]*Event
	bytes       int64 // of all events, those on their way out included
	endpoints   map[string]*endpoint
	hosts       map[string]*host
	unparkReady map[string]struct{} // organizations with parked events and room
	closed      bool                // nothing starts any more
}

// New returns a scheduler with nothing in memory.
func New(l Limits) *Scheduler {
	return &Scheduler{
		quota: quota{max: l.Events, maxBytes: l.Bytes}, concurrency: l.Concurrency,
		events: map[string]*Event{}, endpoints: map[string]*endpoint{}, hosts: map[string]*host{},
		unparkReady: map[string]struct{}{},
	}
}

// Room returns how many events, with how many bytes of payload, may be dequeued.
func (s *Scheduler) Room() (events int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.max - len(s.events), s.maxBytes - s.bytes
}

// Admission is the decision about an event that was dequeued.
type Admission int

// The decisions of Admit.
const (
	Start     Admission = iota // it has a slot: attempt it now
	Queue                      // it waits in memory; ReleaseSlot will return it
	Park                       // its endpoint has no room: park it in Redis
	Duplicate                  // it is in memory already
)

// Admit takes an event into memory. If the entry is in memory already, that event stays as it is
// and is returned.
func (s *Scheduler) Admit(e *Event, now time.Time) (a Admission, known *Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.events[e.Entry]; known != nil {
		return Duplicate, known
	}
	s.events[e.Entry] = e
	s.bytes += e.Size
	p := s.endpoint(e.OrgID, now)
	e.endpoint = p
	p.usedAt = now
	p.largest = max(e.Size, p.largest-p.largest/8)
	switch {
	case s.closed: // Drain takes it with the others
		a = Queue
	case !s.allows(p.tier(), p.inMemory(), e.Size):
		a = Park
	case len(p.running) < p.limit:
		a = Start
	case s.queueRoom(p.tier(), len(p.waiting), s.concurrency) > 0:
		a = Queue
	default:
		a = Park
	}
	switch a {
	case Start:
		p.running = append(p.running, e)
		p.bytes += e.Size
	case Queue:
		p.waiting = append(p.waiting, e)
		p.bytes += e.Size
	default:
		p.parked = true
	}
	s.recount(p)
	return a, nil
}

func (s *Scheduler) endpoint(org string, now time.Time) *endpoint {
	p := s.endpoints[org]
	if p == nil {
		p = &endpoint{org: org, limit: min(startLimit, s.concurrency), usedAt: now, countedAs: tierUnknown}
		if s.notHealthy().events > s.max/8 {
			p.limit = 1
		}
		s.endpoints[org] = p
	}
	return p
}

// recount updates the quota after a change of p: it takes back what was counted, in the tier in
// which it was counted, and counts p anew.
func (s *Scheduler) recount(p *endpoint) {
	s.used[p.countedAs] = s.used[p.countedAs].minus(p.counted)
	p.counted = usage{events: p.inMemory(), waiting: len(p.waiting), bytes: p.bytes}
	p.countedAs = p.tier()
	s.used[p.countedAs] = s.used[p.countedAs].plus(p.counted)
}

// ReleaseSlot frees the slot of e and returns the events that start now instead. The event itself
// stays in memory until Forget.
func (s *Scheduler) ReleaseSlot(e *Event) (starting []*Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := e.endpoint
	if i := slices.Index(p.running, e); i >= 0 {
		p.running = slices.Delete(p.running, i, i+1)
		p.bytes -= e.Size
	}
	for !s.closed && len(p.waiting) > 0 && len(p.running) < p.limit {
		next := p.waiting[0]
		p.waiting[0] = nil
		p.waiting = p.waiting[1:]
		p.running = append(p.running, next)
		starting = append(starting, next)
	}
	s.recount(p)
	s.enqueueReady(p)
	return starting
}

// evict removes what waits for p beyond the first n and returns it. The caller parks it.
func (s *Scheduler) evict(p *endpoint, n int) (evicted []*Event) {
	if len(p.waiting) <= n || s.closed {
		return nil
	}
	evicted = slices.Clone(p.waiting[n:])
	clear(p.waiting[n:])
	p.waiting = p.waiting[:n]
	for _, e := range evicted {
		p.bytes -= e.Size
	}
	p.parked = true
	return evicted
}

// OverQuota reports whether e should give up its slot rather than be retried at once: its endpoint
// is unhealthy, and unhealthy endpoints have used up their share.
func (s *Scheduler) OverQuota(e *Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return e.endpoint.unhealthy && s.used[tierUnhealthy].events > s.max*3/8
}

// Forget removes an event whose last step is committed, or which the process does not hold any
// more.
func (s *Scheduler) Forget(e *Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events[e.Entry] != e {
		return
	}
	delete(s.events, e.Entry)
	s.bytes -= e.Size
}

// Close makes the scheduler start nothing any more.
func (s *Scheduler) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// Drain removes the events that wait in memory from their endpoints and returns them. They stay in
// memory until Forget.
func (s *Scheduler) Drain() (waiting []*Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.endpoints {
		for _, e := range p.waiting {
			p.bytes -= e.Size
		}
		waiting = append(waiting, p.waiting...)
		p.waiting = nil
		s.recount(p)
	}
	return waiting
}

// Find returns the event in memory with this entry, or nil.
func (s *Scheduler) Find(entry string) *Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[entry]
}

// Len returns how many events are in memory.
func (s *Scheduler) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.events)
}
