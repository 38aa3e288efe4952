package dispatcher

import (
	"context"
	"errors"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/backoff"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// What a shutdown may take beyond the grace period: to commit what ended, and to release what did
// not.
const (
	flushTime   = 3 * time.Second
	releaseTime = 4 * time.Second
)

// process is a registration of this dispatcher in Redis; *queue.Process is one.
type process interface {
	Register(ctx context.Context) (queue.Lease, error)
	Renew(ctx context.Context) (queue.Lease, error)
	Recover(ctx context.Context, deadProcess string) (moved int, crashed []string, err error)
	Release(ctx context.Context) error

	Dequeue(ctx context.Context, n int, budget int64) (queue.Batch, error)
	DequeueDue(ctx context.Context, n int, budget int64) (queue.Batch, error)
	Unpark(ctx context.Context, rooms []queue.Capacity, budget int64) (queue.Batch, error)
	ParkedOrgs(ctx context.Context, start, n int) ([]string, error)
	WaitForEvents(ctx context.Context, cursor string) error
	Leased(ctx context.Context) ([]string, error)
	Requeue(ctx context.Context, entries []string) error

	Commit(ctx context.Context, steps []queue.Step) (queue.CommitResult, error)
}

// session is one registration of this process in Redis, and all that is held under it. When the
// work was recovered by another process, or Redis lost its data, the session ends and nothing that
// it holds counts any more; the dispatcher begins another.
type session struct {
	process  process
	metrics  *Metrics
	reporter *reporter
	ctx      context.Context // of the whole session
	cancel   context.CancelFunc
	draining chan struct{} // closed: nothing new is begun

	lease     *lease
	scheduler *scheduler
	fetcher   *fetcher
	pool      *pool
	committer *committer
	heartbeat *heartbeat
	sweeper   *sweeper
}

func newSession(d *Dispatcher, p process) *session {
	s := &session{process: p, metrics: d.metrics, reporter: d.reporter, draining: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	work, cancelWork := context.WithCancel(s.ctx)
	signals := newSignals(d.reporter)
	s.lease = newLease(s.cancel)
	s.scheduler = newScheduler(d.options, d.metrics, signals)
	s.committer = &committer{
		process: p, lease: s.lease, scheduler: s.scheduler, signals: signals, metrics: d.metrics, reporter: d.reporter,
		pending: newPending(d.options), finished: make(chan struct{}),
	}
	s.pool = &pool{
		worker: &worker{
			lease: s.lease, signals: signals, scheduler: s.scheduler, webhook: d.webhooks.get, projector: d.projector,
			sender: d.sender, retryBackoff: d.options.RetryBackoff, draining: s.draining,
		},
		scheduler: s.scheduler, committer: s.committer, signals: signals, metrics: d.metrics, reporter: d.reporter,
		skipped: d.skipped, draining: s.draining, ctx: work, cancel: cancelWork,
	}
	s.fetcher = &fetcher{
		options: d.options, process: p, lease: s.lease, scheduler: s.scheduler, signals: signals, arrivals: newArrivals(p),
		pool: s.pool, committer: s.committer, metrics: d.metrics, reporter: d.reporter, prefetch: d.webhooks.prefetch,
	}
	s.heartbeat = &heartbeat{
		process: p, lease: s.lease, scheduler: s.scheduler, signals: signals, reporter: d.reporter,
		recoverer: &recoverer{
			process: p, lease: s.lease, signals: signals, metrics: d.metrics, reporter: d.reporter, draining: s.draining,
			expired: map[string]time.Time{},
		},
	}
	s.sweeper = &sweeper{scheduler: s.scheduler, committer: s.committer, signals: signals}
	return s
}

// serve works until stop is closed and then shuts down: what is in flight has until grace ends. It
// also ends when the work was recovered by another process. The error says that what the session
// held could not be released.
func (s *session) serve(grace context.Context, stop <-chan struct{}) error {
	defer s.cancel()
	if !s.register(stop) {
		return nil
	}
	committing := startLoop(s.ctx, s.committer.run)
	beating := startLoop(s.ctx, s.heartbeat.run)
	sweeping := startLoop(s.ctx, s.sweeper.run)
	waiting := startLoop(s.ctx, s.fetcher.arrivals.run)
	fetching := startLoop(s.ctx, s.fetcher.run)

	select {
	case <-stop:
	case <-s.ctx.Done():
	}
	s.scheduler.Close()
	close(s.draining)
	waiting.cancel()
	fetching.stop()
	requeueing := startLoop(s.ctx, s.fetcher.requeueWaiting)
	s.pool.stop(grace)
	s.committer.finish()
	select {
	case <-committing.ended:
	case <-time.After(flushTime):
	}
	for _, l := range []*loop{beating, sweeping, requeueing, waiting} {
		l.stop()
	}
	var err error
	if !s.lease.fenced.Load() {
		err = s.release()
	}
	committing.stop()
	s.metrics.inFlight.Sub(float64(s.scheduler.Len()))
	return err
}

// register makes the process known, however long that takes. It reports false if stop came first.
func (s *session) register(stop <-chan struct{}) bool {
	pause := backoff.New(100 * time.Millisecond)
	for {
		requestedAt := time.Now()
		call, cancel := context.WithTimeout(s.ctx, 2*time.Second)
		l, err := s.process.Register(call)
		cancel()
		s.reporter.redis(err, l.Initialized)
		if err == nil {
			s.lease.renew(requestedAt, l.Initialized)
			return true
		}
		select {
		case <-stop:
			return false
		case <-time.After(pause.Next()):
		}
	}
}

// release requeues all that is left and unregisters the process, for as long as trying makes sense.
func (s *session) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTime)
	defer cancel()
	for {
		err := s.process.Release(ctx)
		if err == nil || errors.Is(err, queue.ErrFenced) {
			return nil
		}
		if !backoff.Sleep(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

// loop is one goroutine of a session.
type loop struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// startLoop starts run, which ends soon after its context.
func startLoop(ctx context.Context, run func(context.Context)) *loop {
	ctx, cancel := context.WithCancel(ctx)
	l := &loop{cancel: cancel, ended: make(chan struct{})}
	go func() { defer close(l.ended); run(ctx) }()
	return l
}

// stop ends the loop and waits until it has ended.
func (l *loop) stop() {
	l.cancel()
	<-l.ended
}
