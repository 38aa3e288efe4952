package schedule

import "time"

// endpoint is one organization's endpoint. Guarded by Scheduler.mu.
type endpoint struct {
	org  string
	host *host

	// limit is how many attempts may be in flight. It starts low, doubles with success up to
	// endpoint_concurrency and halves with failure.
	limit   int
	running []*Event // have a slot
	waiting []*Event // wait in memory for a slot
	bytes   int64    // of payload, of both
	largest int64    // about the largest payload of late: parked events are assumed to be as large
	parked  bool     // has parked events in Redis, as far as this process knows

	healthy   bool          // the last acknowledgement was quick, and it was not unhealthy since
	unhealthy bool          // slow or failing
	failures  int           // failed attempts in a row
	fastest   time.Duration // about the shortest attempt of late

	reported   bool // the log says that it fails, since reportedAt
	reportedAt time.Time

	counted   usage // what the quota counts of it, and in which tier
	countedAs tier

	usedAt time.Time
}

// inMemory is how many of its events run or wait.
func (p *endpoint) inMemory() int { return len(p.running) + len(p.waiting) }

func (p *endpoint) tier() tier {
	switch {
	case p.unhealthy:
		return tierUnhealthy
	case !p.healthy:
		return tierUnknown
	}
	return tierHealthy
}

// host is what endpoints of many organizations may share. Only failures to connect count against
// it.
type host struct {
	name     string
	failures int // failures to connect in a row
	usedAt   time.Time
}
