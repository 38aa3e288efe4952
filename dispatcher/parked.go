package dispatcher

import "time"

// parkedIn notes organizations that have parked events in Redis.
func (b *board) parkedIn(orgs []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, org := range orgs {
		e := b.endpoint(org)
		e.parked = true
		e.used = time.Now()
		b.call(e)
	}
}

// call puts e among those that are ready if it has parked events that should come.
func (b *board) call(e *endpoint) {
	if e.parked && b.hungry(e) {
		b.ready[e.org] = struct{}{}
	}
}

// hungry says whether parked events of e should come: there is a slot and nothing waiting for it, or so little waiting that it is worth
// a round trip.
func (b *board) hungry(e *endpoint) bool {
	if !b.fits(e.class(), e.places(), e.large) {
		return false
	}
	return len(e.waiting) == 0 && len(e.running) < e.limit ||
		b.mayWait(e.class(), len(e.waiting), b.concurrency) >= queuePerSlot*b.concurrency/2
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
	ahead := b.ledger // as it will be when they are here
	for org := range b.ready {
		if len(rooms) == orgs || total <= 0 || b.closed {
			break
		}
		delete(b.ready, org)
		e := b.endpoints[org]
		if e == nil || !e.parked {
			continue
		}
		if n := ahead.reserve(e, b.concurrency, total); n > 0 {
			rooms = append(rooms, orgRoom{org, n})
			total -= n
		}
	}
	return rooms
}

// reserve counts further events of e, most of them at most, as if they were here, each as large as any of late. It returns how many
// find a place.
func (l *ledger) reserve(e *endpoint, concurrency, most int) (n int) {
	c, places, waiting := e.class(), e.places(), len(e.waiting)
	for ; n < most && l.fits(c, places, e.large); n++ {
		s := share{places: 1, bytes: e.large}
		if places >= e.limit {
			if l.mayWait(c, waiting, concurrency) <= 0 {
				break
			}
			s.waiting = 1
		}
		places, waiting = places+1, waiting+s.waiting
		l.held[c] = l.held[c].plus(s)
	}
	return n
}

// unparked notes how many parked events an organization has left.
func (b *board) unparked(org string, left int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.endpoints[org]; e != nil {
		e.parked = left > 0
		b.call(e)
	}
}
