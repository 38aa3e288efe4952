package schedule

// tier is the health under which an endpoint's events are counted.
type tier int

const (
	tierHealthy tier = iota
	tierUnknown
	tierUnhealthy
	tiers
)

// smallEndpoint is the number of events in memory below which an endpoint counts as small: small
// endpoints come before larger ones.
const smallEndpoint = 4

// usage is what endpoints have running and waiting in memory.
type usage struct {
	events  int
	waiting int   // those of the events that wait
	bytes   int64 // of payload
}

func (u usage) plus(o usage) usage {
	return usage{u.events + o.events, u.waiting + o.waiting, u.bytes + o.bytes}
}

func (u usage) minus(o usage) usage {
	return usage{u.events - o.events, u.waiting - o.waiting, u.bytes - o.bytes}
}

// quota counts who uses how much of max_in_flight and max_in_flight_bytes, and decides who may use
// how much. Of both:
//
//   - Unhealthy endpoints and those of unknown health have at most half together. Unhealthy ones
//     get no more beyond three eighths, so that an endpoint of unknown health finds room to prove
//     itself.
//   - Healthy endpoints have the other half to themselves. But any of them may begin to hang, all
//     at once, and an endpoint keeps what it has until its attempts end. So they get no more than
//     half together, nor beyond five eighths of everything; an endpoint with few events goes up to
//     three quarters; and an endpoint that has nothing gets a place whatever the others have.
//   - Whatever the bytes, an endpoint's first event gets a place if it is so small that
//     max_in_flight events of its size would not fill half of max_in_flight_bytes.
//   - If nothing is counted yet, one event always fits.
//
// The rest beyond these shares holds events while the caller finds out that there is no place for
// them.
type quota struct {
	max      int
	maxBytes int64
	used     [tiers]usage
}

func (q *quota) notHealthy() usage { return q.used[tierUnhealthy].plus(q.used[tierUnknown]) }
func (q *quota) all() usage        { return q.notHealthy().plus(q.used[tierHealthy]) }

// within reports whether u is less than so many eighths of everything, and still no more than that
// with another event of size bytes.
func (q *quota) within(u usage, eighths int, size int64) bool {
	return u.events < max(q.max*eighths/8, 1) && q.bytesWithin(u, eighths, size)
}

func (q *quota) bytesWithin(u usage, eighths int, size int64) bool {
	return u.bytes == 0 || u.bytes+size <= q.maxBytes*int64(eighths)/8
}

// allows reports whether an endpoint with so many events in memory may have one more, of size
// bytes.
func (q *quota) allows(t tier, inMemory int, size int64) bool {
	smallFirst := inMemory == 0 && size <= q.maxBytes/int64(2*q.max)
	switch {
	case t == tierUnhealthy:
		return q.within(q.used[tierUnhealthy], 3, size) && q.within(q.notHealthy(), 4, size)
	case t == tierUnknown:
		u := q.notHealthy()
		return q.within(u, 4, size) || smallFirst && u.events < max(q.max/2, 1)
	case inMemory == 0:
		return smallFirst || q.bytesWithin(q.all(), 7, size)
	case inMemory < smallEndpoint:
		return q.within(q.all(), 6, size)
	}
	return q.within(q.used[tierHealthy], 4, size) && q.within(q.all(), 5, size)
}

// queueRoom returns how many more events may wait in memory for an endpoint for which so many wait.
func (q *quota) queueRoom(t tier, waiting, concurrency int) int {
	switch t {
	case tierUnhealthy:
		return 0
	case tierUnknown:
		return min(queuePerSlot-waiting, q.max/8-q.used[tierUnknown].waiting)
	default:
		return min(queuePerSlot*concurrency-waiting, q.max/2-q.all().waiting)
	}
}

// reserve counts further events of p, limit of them at most, as if they were in memory, each as
// large as the largest of late. It returns how many find a place.
func (q *quota) reserve(p *endpoint, concurrency, limit int) (n int) {
	t, inMemory, waiting := p.tier(), p.inMemory(), len(p.waiting)
	for ; n < limit && q.allows(t, inMemory, p.largest); n++ {
		u := usage{events: 1, bytes: p.largest}
		if inMemory >= p.limit {
			if q.queueRoom(t, waiting, concurrency) <= 0 {
				break
			}
			u.waiting = 1
		}
		inMemory, waiting = inMemory+1, waiting+u.waiting
		q.used[t] = q.used[t].plus(u)
	}
	return n
}
