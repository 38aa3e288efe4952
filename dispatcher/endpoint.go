package dispatcher

import (
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// job is one event held in memory. Its fields belong to whoever has it: the intake, then its runner, then the committer.
type job struct {
	queue.Taken
	size     int64
	body     []byte // the public payload, once projected
	endpoint *endpoint
	retry    bool // came from the retries: bounded apart from first attempts

	started time.Time // guarded by board.mu: when the attempt in flight began; zero between attempts
}

// endpoint is one organization's endpoint. Guarded by board.mu.
type endpoint struct {
	org       string
	host      *host
	limit     int           // attempts in flight at most: starts low, doubles with success up to endpoint_concurrency, halves with failure
	running   []*job        // have a slot
	waiting   []*job        // wait in memory; empty for suspects
	proven    bool          // the last attempt that ended was answered in good time and acknowledged
	fails     int           // failed attempts in a row
	best      time.Duration // about the shortest attempt of late
	suspect   bool          // known to be slow or failing
	counted   int           // how many running ones are counted on the board, as what it was then
	countedAs class
	told      bool // the log says that it fails, since toldAt
	toldAt    time.Time
	parked    bool // has parked events in Redis, as far as known here
	used      time.Time
}

// class is the standing under which an endpoint's jobs are counted.
type class int

const (
	asProven class = iota
	asUnproven
	asSuspect
)

// host is what endpoints of many organizations may share. Only failures to connect count against it.
type host struct {
	name  string
	fails int // failures to connect in a row
	used  time.Time
}
