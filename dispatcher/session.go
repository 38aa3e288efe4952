package dispatcher

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// How often a process renews its lease and looks at the others', and for how long it must have seen one lapsed, while Redis answered
// without a pause, before it takes the work over: so that a Redis that stood still costs nobody its work. With queue.LeaseTime of 6 s, a
// dead holder's work moves on within 6+1+2.5+1 s of its death.
const (
	heartbeat   = time.Second
	lapsedFor   = 2500 * time.Millisecond
	longestBeat = 2500 * time.Millisecond // between two answered looks; a longer gap begins the watch anew
)

// What a shutdown may take beyond the grace period: writing down what ended, and handing over what did not.
const (
	flushTime   = 3 * time.Second
	releaseTime = 4 * time.Second
)

// session is one registration of this process in Redis, and everything held under it. When the work was taken over, or Redis lost its
// data, the session ends and nothing that it holds counts any more; the dispatcher begins another.
type session struct {
	d         *Dispatcher
	process   *queue.Process
	board     *board
	gate      *gate
	committer *committer

	drain   chan struct{} // closed: nothing new is begun
	wake    chan struct{} // there is room, or something to look for
	dirty   atomic.Bool   // an answer may have been lost: Redis may hold for us what we do not know
	nextDue atomic.Int64  // when the retries are to be looked at, Unix ns

	work    context.Context // of every runner; set before the first starts
	retaken []retaken       // owned by the intake, then by who hands over

	isGone   atomic.Bool
	cancel   context.CancelFunc // ends everything
	runners  sync.WaitGroup
	services sync.WaitGroup
}

func newSession(d *Dispatcher) *session {
	s := &session{
		d: d, process: d.queue.NewProcess(), board: newBoard(d.options), gate: newGate(),
		drain: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	s.committer = newCommitter(s)
	return s
}

// serve works until stop is closed, and then winds up: what is in flight has until grace is done. Or it works until the work was taken
// over. The error says that what is held could not be handed over.
func (s *session) serve(grace context.Context, stop <-chan struct{}) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.cancel = cancel
	if !s.register(ctx, stop) {
		return nil
	}
	intake, stopIntake := context.WithCancel(ctx)
	beat, stopBeat := context.WithCancel(ctx)
	work, stopWork := context.WithCancel(ctx)
	s.work = work
	defer stopIntake()
	defer stopBeat()
	defer stopWork()
	committed, finished := make(chan struct{}), make(chan struct{})
	var taking sync.WaitGroup
	taking.Go(func() { s.intake(intake) })
	s.services.Go(func() { s.beat(beat) })
	s.services.Go(func() { s.watch(beat) })
	go func() { s.committer.run(ctx, finished); close(committed) }()

	select {
	case <-stop:
	case <-ctx.Done():
	}
	s.board.close()
	close(s.drain)
	stopIntake()
	taking.Wait()
	s.services.Go(func() { s.handOver(beat) })
	idle := make(chan struct{})
	go func() { s.runners.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-grace.Done():
	case <-ctx.Done():
	}
	stopWork()
	<-idle
	close(finished)
	select {
	case <-committed:
	case <-time.After(flushTime):
	}
	stopBeat()
	s.services.Wait()
	var err error
	if !s.isGone.Load() {
		err = s.release()
	}
	cancel()
	<-committed
	s.d.metrics.inFlight.Sub(float64(s.board.size()))
	return err
}

// gone ends the session: what it holds is not its own any more.
func (s *session) gone() {
	s.isGone.Store(true)
	s.cancel()
}

func (s *session) draining() bool {
	select {
	case <-s.drain:
		return true
	default:
		return false
	}
}

// trouble notes that Redis gave no answer to something that changes it.
func (s *session) trouble(err error) {
	s.dirty.Store(true)
	s.d.health.trouble(err)
}

// register makes the process known, however long it takes. It reports false where stop came first.
func (s *session) register(ctx context.Context, stop <-chan struct{}) bool {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, 2*time.Second)
		l, err := s.process.Register(call)
		cancel()
		s.d.health.store(err, l.Initialized)
		if err == nil {
			s.gate.renew(asked, l.Initialized)
			return true
		}
		t := time.NewTimer(pause)
		select {
		case <-stop:
			t.Stop()
			return false
		case <-t.C:
		}
	}
}

// beat keeps the lease, and takes over the work of those who do not.
func (s *session) beat(ctx context.Context) {
	lapsed := map[string]time.Time{}
	var last time.Time
	strays := 0 // beats in a row in which Redis held more for us than we know of
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		asked := time.Now()
		call, cancel := context.WithTimeout(ctx, 2*time.Second)
		l, err := s.process.Renew(call)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, queue.ErrFenced) {
			s.d.health.takenOver()
			s.gone()
			return
		}
		s.d.health.store(err, l.Initialized)
		if err != nil {
			s.dirty.Store(true)
			clear(lapsed)
			continue
		}
		s.gate.renew(asked, l.Initialized)
		if age(asked, last) > longestBeat || !l.Initialized {
			clear(lapsed)
		}
		last = asked
		if strays++; l.Events <= s.board.size() {
			strays = 0
		} else if strays >= 5 {
			s.dirty.Store(true)
		}
		s.takeOver(ctx, asked, l, lapsed)
	}
}

// takeOver takes the work of processes whose lease was seen lapsed for long enough.
func (s *session) takeOver(ctx context.Context, now time.Time, l queue.Lease, lapsed map[string]time.Time) {
	seen := map[string]bool{}
	for _, victim := range l.Expired {
		seen[victim] = true
		since, ok := lapsed[victim]
		if !ok {
			lapsed[victim] = now
			continue
		}
		if now.Sub(since) < lapsedFor || s.draining() {
			continue
		}
		moved, given, err := s.process.Recover(ctx, victim)
		s.d.metrics.recovered.Add(float64(moved))
		for _, event := range given {
			s.d.metrics.of(event).outcomes[outcomeDead].Inc()
		}
		if moved > 0 {
			s.d.health.tookOver(moved, len(given))
			s.dueIn(0)
		}
		if err != nil {
			s.trouble(err)
			return
		}
	}
	for victim := range lapsed {
		if !seen[victim] {
			delete(lapsed, victim)
		}
	}
}

// watch judges endpoints as time passes, and parks what waits in memory for those that became suspects.
func (s *session) watch(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, j := range s.board.sweep() {
			s.park(j)
		}
		s.poke()
	}
}

// handOver hands over at once what no attempt was begun for. The intake has ended, so nothing is added.
func (s *session) handOver(ctx context.Context) {
	jobs := s.board.takeWaiting()
	entries := make([]string, len(jobs))
	for i, j := range jobs {
		entries[i] = j.Entry
	}
	for {
		err := s.process.Requeue(ctx, entries)
		if err == nil {
			for _, j := range jobs {
				s.drop(j)
			}
			jobs, entries = nil, nil
			err = s.giveRetaken(ctx)
		}
		if err == nil && len(s.retaken) == 0 || errors.Is(err, queue.ErrFenced) {
			return
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return // what is left goes with all the rest
		}
	}
}

// release hands over what is left, for as long as it makes sense to try.
func (s *session) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTime)
	defer cancel()
	for {
		err := s.process.Release(ctx)
		if err == nil || errors.Is(err, queue.ErrFenced) {
			return nil
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return err
		}
	}
}
