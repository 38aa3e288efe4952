package dispatcher

import (
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// job is one event held in memory. Its fields belong to whoever has it: the intake, then its runner, then the committer.
type job struct {
	queue.LeasedEvent
	size     int64
	body     []byte // the public payload, once projected
	endpoint *endpoint

	started time.Time // guarded by board.mu: when the attempt in flight began; zero between attempts
}

// endpoint is one organization's endpoint. Guarded by board.mu.
type endpoint struct {
	org       string
	host      *host
	limit     int           // attempts in flight at most: starts low, doubles with success up to endpoint_concurrency, halves with failure
	running   []*job        // have a slot
	waiting   []*job        // wait in memory for a slot
	bytes     int64         // of payload, of both
	large     int64         // about the largest payload of late: what parked ones may be like
	proven    bool          // the last acknowledgement came in good time, and it has not become a suspect since
	fails     int           // failed attempts in a row
	best      time.Duration // about the shortest attempt of late
	suspect   bool          // known to be slow or failing
	counted   share         // what of it stands in the ledger, as what it was then
	countedAs class
	told      bool // the log says that it fails, since toldAt
	toldAt    time.Time
	parked    bool // has parked events in Redis, as far as known here
	used      time.Time
}

// places is how many events it has running or waiting.
func (e *endpoint) places() int { return len(e.running) + len(e.waiting) }

func (e *endpoint) class() class {
	switch {
	case e.suspect:
		return asSuspect
	case !e.proven:
		return asUnproven
	}
	return asProven
}

// host is what endpoints of many organizations may share. Only failures to connect count against it.
type host struct {
	name  string
	fails int // failures to connect in a row
	used  time.Time
}
