package dispatcher

import "time"

// sweep judges every endpoint, which time alone may make a suspect. It returns the events that wait in memory for suspects: they are to
// be parked. Endpoints and hosts that nothing came for in a while are forgotten.
func (b *board) sweep() (evicted []*job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for org, e := range b.endpoints {
		b.judge(e)
		if e.suspect && len(e.waiting) > 0 && !b.closed {
			evicted = append(evicted, e.waiting...)
			b.waiting -= len(e.waiting)
			e.waiting = nil
			e.parked = true
			b.count(e)
		}
		if e.parked && b.hungry(e) {
			b.ready[org] = struct{}{}
		}
		if len(e.running)+len(e.waiting) == 0 && !e.parked && now.Sub(e.used) > endpointIdle {
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

// parkedIn notes organizations that have parked events in Redis.
func (b *board) parkedIn(orgs []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, org := range orgs {
		e := b.endpoint(org)
		e.parked = true
		e.used = time.Now()
		if b.hungry(e) {
			b.ready[org] = struct{}{}
		}
	}
}

// orgRoom is how many parked events of an organization there is room for.
type orgRoom struct {
	org string
	n   int
}

// unparkable returns organizations with parked events and room, and for how many: orgs of them at most, total events at most.
func (b *board) unparkable(orgs, total int) (rooms []orgRoom) {
	b.mu.Lock()
	defer b.mu.Unlock()
	memory := b.max/2 - b.waiting // for those that will wait, over all organizations
	for org := range b.ready {
		if len(rooms) == orgs || total <= 0 || b.closed {
			break
		}
		delete(b.ready, org)
		e := b.endpoints[org]
		if e == nil || !e.parked {
			continue
		}
		slots := b.slotsFor(e)
		n := min(slots+max(0, min(b.mayWait(e), memory)), total)
		if n > 0 {
			rooms = append(rooms, orgRoom{org, n})
			total -= n
			memory -= max(0, n-slots)
		}
	}
	return rooms
}

// unparked notes how many parked events an organization has left.
func (b *board) unparked(org string, left int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.endpoints[org]; e != nil {
		e.parked = left > 0
		if e.parked && b.hungry(e) {
			b.ready[org] = struct{}{}
		}
	}
}

// close lets nothing start any more.
func (b *board) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
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

// takeWaiting takes away the events that wait in memory.
func (b *board) takeWaiting() (waiting []*job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.endpoints {
		waiting = append(waiting, e.waiting...)
		e.waiting = nil
		b.count(e)
	}
	b.waiting = 0
	return waiting
}
