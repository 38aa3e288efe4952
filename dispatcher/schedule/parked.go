package schedule

import "time"

// Parked notes organizations that have parked events in Redis.
func (s *Scheduler) Parked(orgs []string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, org := range orgs {
		p := s.endpoint(org, now)
		p.parked = true
		p.usedAt = now
		s.enqueueReady(p)
	}
}

// enqueueReady adds p to the endpoints whose parked events should come back, if it has any and has
// room.
func (s *Scheduler) enqueueReady(p *endpoint) {
	if p.parked && s.wantsMore(p) {
		s.unparkReady[p.org] = struct{}{}
	}
}

// wantsMore reports whether parked events of p should come back: a slot is free and nothing waits
// for it, or so little waits that fetching more is worth a round trip.
func (s *Scheduler) wantsMore(p *endpoint) bool {
	if !s.allows(p.tier(), p.inMemory(), p.largest) {
		return false
	}
	return len(p.waiting) == 0 && len(p.running) < p.limit ||
		s.queueRoom(p.tier(), len(p.waiting), s.concurrency) >= queuePerSlot*s.concurrency/2
}

// Grant is for how many parked events of an organization there is room.
type Grant struct {
	OrgID  string
	Events int
}

// Unparkable returns organizations with parked events and room, and for how many: at most orgs
// organizations and at most events events. The caller reports with Unparked what it left in Redis.
func (s *Scheduler) Unparkable(orgs, events int) (grants []Grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ahead := s.quota // as it will be once they are in memory
	for org := range s.unparkReady {
		if len(grants) == orgs || events <= 0 || s.closed {
			break
		}
		delete(s.unparkReady, org)
		p := s.endpoints[org]
		if p == nil || !p.parked {
			continue
		}
		if n := ahead.reserve(p, s.concurrency, events); n > 0 {
			grants = append(grants, Grant{org, n})
			events -= n
		}
	}
	return grants
}

// Unparked notes how many parked events an organization has left in Redis.
func (s *Scheduler) Unparked(org string, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.endpoints[org]; p != nil {
		p.parked = left > 0
		s.enqueueReady(p)
	}
}
