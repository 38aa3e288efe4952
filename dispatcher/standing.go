package dispatcher

import "time"

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

// end notes how an attempt ended. It returns what waited for its endpoint and is to be parked now.
func (b *board) end(j *job, acknowledged, connectFailed bool) (s standing, evicted []*job) {
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
	evicted = b.judge(e)
	switch {
	case acknowledged && e.told:
		e.told = false
		s = recovered
	case e.fails >= failsToTell && !e.told && time.Since(e.toldAt) > tellEvery:
		e.told, e.toldAt = true, time.Now()
		s = failing
	}
	return s, evicted
}

// judge decides whether e is a suspect. A suspect is unproven until it has shown better. It returns what waited for it and is to be
// parked, because it is in good standing no more.
func (b *board) judge(e *endpoint) (evicted []*job) {
	slow := false
	for _, j := range e.running {
		if !j.started.IsZero() && time.Since(j.started) > slowAfter {
			slow = true
			break
		}
	}
	e.suspect = slow || e.fails >= failsToSuspect || e.host != nil && e.host.fails >= failsToSuspect
	switch {
	case e.suspect:
		e.proven = false
		evicted = b.evict(e, 0)
	case !e.proven:
		evicted = b.evict(e, queuePerSlot)
	}
	b.count(e)
	return evicted
}

// sweep judges every endpoint, which time alone may make a suspect, and looks for parked events that there is a place for by now. It
// returns the events that are to be parked. Endpoints and hosts that nothing came for in a while are forgotten.
func (b *board) sweep() (evicted []*job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for _, e := range b.endpoints {
		evicted = append(evicted, b.judge(e)...)
	}
	for org, e := range b.endpoints { // now that it is known who is what
		b.call(e)
		if e.places() == 0 && !e.parked && now.Sub(e.used) > endpointIdle {
			delete(b.endpoints, org)
		}
	}
	for name, h := range b.hosts {
		if now.Sub(h.used) > endpointIdle {
			delete(b.hosts, name)
		}
	}
	return evicted
}
