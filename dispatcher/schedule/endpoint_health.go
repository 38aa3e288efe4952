package schedule

import "time"

// How the health of an endpoint is judged.
const (
	slowAfter     = time.Second // an attempt in flight for longer makes its endpoint unhealthy
	maxFailures   = 3           // failed attempts in a row do, or failures to connect to its host
	startLimit    = 2           // attempts in flight to an endpoint of which nothing is known
	queuePerSlot  = 8           // events waiting in memory for each slot of a healthy endpoint
	endpointsIdle = 10 * time.Minute

	// If an attempt takes more than four times as long as the fastest of late, and this much more,
	// its endpoint gets no further attempts in parallel: they would wait for each other there, or
	// here for the processor.
	slowdownMargin = 10 * time.Millisecond
)

// AttemptStarted notes that an attempt of e begins, to a host.
func (s *Scheduler) AttemptStarted(e *Event, hostname string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.started = now
	h := s.hosts[hostname]
	if h == nil {
		h = &host{name: hostname}
		s.hosts[hostname] = h
	}
	h.usedAt = now
	e.endpoint.host = h
}

// HealthChange is a change in an endpoint's health that is worth a log line.
type HealthChange int

// The changes that AttemptEnded reports.
const (
	Unchanged HealthChange = iota
	Failing
	Recovered
)

// How many failed attempts in a row make a log line, and how often one endpoint may.
const (
	reportFailures = 5
	reportEvery    = time.Minute
)

// Result is how an attempt ended, as far as it tells of its endpoint's health.
type Result struct {
	Acknowledged  bool
	ConnectFailed bool // no connection came about
}

// AttemptEnded notes how an attempt of e ended. The caller parks the evicted events, which waited
// for its endpoint.
func (s *Scheduler) AttemptEnded(e *Event, r Result, now time.Time) (c HealthChange, evicted []*Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := e.endpoint
	took := now.Sub(e.started)
	e.started = time.Time{}
	if p.host != nil {
		if r.ConnectFailed {
			p.host.failures++
		} else {
			p.host.failures = 0
		}
	}
	if r.Acknowledged {
		p.failures = 0
		p.healthy = took < slowAfter
		if p.fastest == 0 || took < p.fastest {
			p.fastest = took
		} else {
			p.fastest += p.fastest / 64 // an old record is forgotten in time
		}
		if took <= 4*p.fastest+slowdownMargin {
			p.limit = min(p.limit*2, s.concurrency)
		}
	} else {
		p.failures++
		p.limit = max(p.limit/2, 1)
	}
	evicted = s.judge(p, now)
	switch {
	case r.Acknowledged && p.reported:
		p.reported = false
		c = Recovered
	case p.failures >= reportFailures && !p.reported && now.Sub(p.reportedAt) > reportEvery:
		p.reported, p.reportedAt = true, now
		c = Failing
	}
	return c, evicted
}

// judge decides whether p is unhealthy. An endpoint that was unhealthy is of unknown health until
// an attempt has succeeded. judge returns what waited for p and may not wait in its new tier.
func (s *Scheduler) judge(p *endpoint, now time.Time) (evicted []*Event) {
	slow := false
	for _, e := range p.running {
		if !e.started.IsZero() && now.Sub(e.started) > slowAfter {
			slow = true
			break
		}
	}
	p.unhealthy = slow || p.failures >= maxFailures || p.host != nil && p.host.failures >= maxFailures
	switch {
	case p.unhealthy:
		p.healthy = false
		evicted = s.evict(p, 0)
	case !p.healthy:
		evicted = s.evict(p, queuePerSlot)
	}
	s.recount(p)
	return evicted
}

// Sweep judges every endpoint, because time alone may make one unhealthy, and finds parked events
// for which there is room by now. It forgets endpoints and hosts that were idle for long. The
// caller parks the evicted events.
func (s *Scheduler) Sweep(now time.Time) (evicted []*Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.endpoints {
		evicted = append(evicted, s.judge(p, now)...)
	}
	for org, p := range s.endpoints { // after all are judged, since they share one quota
		s.enqueueReady(p)
		if p.inMemory() == 0 && !p.parked && now.Sub(p.usedAt) > endpointsIdle {
			delete(s.endpoints, org)
		}
	}
	for name, h := range s.hosts {
		if now.Sub(h.usedAt) > endpointsIdle {
			delete(s.hosts, name)
		}
	}
	return evicted
}
