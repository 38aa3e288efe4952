package dispatcher

// class is the standing under which an endpoint's events are counted.
type class int

const (
	asProven class = iota
	asUnproven
	asSuspect
	classes
)

// Below how many places of its own an endpoint still counts as small: it comes before those that have more.
const smallEndpoint = 4

// share is what endpoints have running and waiting in memory.
type share struct {
	places  int   // events
	waiting int   // those of them that wait
	bytes   int64 // of payload
}

func (s share) plus(o share) share {
	return share{s.places + o.places, s.waiting + o.waiting, s.bytes + o.bytes}
}

func (s share) minus(o share) share {
	return share{s.places - o.places, s.waiting - o.waiting, s.bytes - o.bytes}
}

// ledger is who has how much of max_in_flight and max_in_flight_bytes, and who may have how much. Of both:
//
//   - Endpoints that are suspect or unproven have at most half together. Suspects get no more beyond three eighths, so that an unproven
//     one finds room to prove itself.
//   - Those in good standing have the rest to themselves. But any of them may begin to hang, all at once, and keeps what it has until its
//     attempts end. So they get no more than half together, nor beyond five eighths of everything; one with little goes to three
//     quarters; and one that has nothing gets a place whatever the others have.
//   - Whatever the bytes, an event so small that as many as may be held would not fill half of them gets an endpoint's first place.
//   - Where nothing is counted yet, one event fits always.
//
// What is left beyond is where events stand while the intake finds out that there is no place for them.
type ledger struct {
	max      int
	maxBytes int64
	held     [classes]share
}

func (l *ledger) doubtful() share { return l.held[asSuspect].plus(l.held[asUnproven]) }
func (l *ledger) all() share      { return l.doubtful().plus(l.held[asProven]) }

// within says whether s is less than so many eighths of all, and still no more with another event of size bytes.
func (l *ledger) within(s share, eighths int, size int64) bool {
	return s.places < max(l.max*eighths/8, 1) && l.bytesWithin(s, eighths, size)
}

func (l *ledger) bytesWithin(s share, eighths int, size int64) bool {
	return s.bytes == 0 || s.bytes+size <= l.maxBytes*int64(eighths)/8
}

// fits says whether an endpoint that has so many places may have one more, for an event of size bytes.
func (l *ledger) fits(c class, places int, size int64) bool {
	first := places == 0 && size <= l.maxBytes/int64(2*l.max)
	switch {
	case c == asSuspect:
		return l.within(l.held[asSuspect], 3, size) && l.within(l.doubtful(), 4, size)
	case c == asUnproven:
		d := l.doubtful()
		return l.within(d, 4, size) || first && d.places < max(l.max/2, 1)
	case places == 0:
		return first || l.bytesWithin(l.all(), 7, size)
	case places < smallEndpoint:
		return l.within(l.all(), 6, size)
	}
	return l.within(l.held[asProven], 4, size) && l.within(l.all(), 5, size)
}

// mayWait says how many more events may wait in memory for an endpoint for which so many do.
func (l *ledger) mayWait(c class, waiting, concurrency int) int {
	switch c {
	case asSuspect:
		return 0
	case asUnproven:
		return min(queuePerSlot-waiting, l.max/8-l.held[asUnproven].waiting)
	default:
		return min(queuePerSlot*concurrency-waiting, l.max/2-l.all().waiting)
	}
}
