package dispatcher

import (
	"sync/atomic"
	"time"
)

// signals is how the rest of a session tells the fetcher what to look for.
type signals struct {
	awake      chan struct{} // there is room, or something to look for
	mismatch   atomic.Bool   // a dequeue reply may have been lost
	nextDueAt  atomic.Int64  // when retries are to be looked for, in Unix nanoseconds
	unanswered func(error)   // reports that a step got no reply
}

func newSignals(r *reporter) *signals {
	return &signals{awake: make(chan struct{}, 1), unanswered: r.stepFailed}
}

// wake wakes the fetcher.
func (s *signals) wake() {
	select {
	case s.awake <- struct{}{}:
	default:
	}
}

// reconcile makes the fetcher compare what Redis leases to this process with what is in memory.
func (s *signals) reconcile() { s.mismatch.Store(true) }

// replyLost notes that a step which changes Redis got no reply.
func (s *signals) replyLost(err error) {
	s.reconcile()
	s.unanswered(err)
}

// retryDueIn makes the fetcher look for retries after d, unless it looks earlier anyway.
func (s *signals) retryDueIn(d time.Duration) {
	at := time.Now().Add(d).UnixNano()
	for {
		next := s.nextDueAt.Load()
		if next <= at {
			return
		}
		if s.nextDueAt.CompareAndSwap(next, at) {
			s.wake()
			return
		}
	}
}
