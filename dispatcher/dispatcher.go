// Package dispatcher delivers webhooks: it dequeues events from Redis and posts each to its
// organization's endpoint until the endpoint acknowledges it or its retries are spent
// (specification.md, section 6).
//
// An event's way runs downward through these types, one file each:
//
//	fetcher    dequeues new, due and parked events for which there is room (one goroutine)
//	scheduler  decides which event starts, waits or is parked (package schedule, which is pure)
//	pool       runs a worker for each event that has a slot (one goroutine each)
//	worker     makes one attempt of one event and returns an outcome, a value (package payload
//	           makes the body, package attempt the request)
//	committer  writes outcomes to Redis, many in one round trip (one goroutine; package queue)
//
// Beside them, one goroutine each:
//
//	arrivals   waits in Redis for new events, for the fetcher
//	heartbeat  renews the lease, and has the recoverer requeue the work of dead processes
//	sweeper    judges endpoints as time passes
//	janitor    updates gauges, trims dead letters, audits the stream
//
// The lease guards the beginning of attempts; signals tell the fetcher what to look for; the
// reporter logs and says whether the dispatcher is ready. A session owns all of them but the
// janitor and the reporter, and ends with its registration in Redis. The Dispatcher outlives
// sessions.
package dispatcher

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/attempt"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// sender makes attempts; *attempt.Sender is one.
type sender interface {
	Send(ctx context.Context, r attempt.Request) attempt.Result
	Close()
}

// projector makes public payloads; *payload.Projector is one.
type projector interface {
	Project(dst []byte, s payload.Source) ([]byte, error)
}

// Dispatcher delivers the events of one store. Several dispatchers, in one process or in many,
// share the work.
type Dispatcher struct {
	options   Options
	queue     *queue.Queue
	follower  *changes.Follower
	webhooks  *webhookCache
	sender    sender
	projector projector
	metrics   *Metrics
	reporter  *reporter
	skipped   *skippedLog

	newProcess func() process // registers under a name that was never used

	stop     chan struct{} // closed: drain
	stopOnce sync.Once
	grace    context.Context // done: the grace period is over
	endGrace context.CancelFunc
	done     chan struct{} // closed: Run has ended
	result   error         // of the last session, written before done is closed

	mu      sync.Mutex
	session *session // the one that serves
}

// New prepares a dispatcher over st; follower, which its owner runs, announces changed webhooks.
// Nothing is dialled before Run, which must be called once.
func New(st *store.Store, follower *changes.Follower, o Options) (*Dispatcher, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	projector, err := o.projector()
	if err != nil {
		return nil, err
	}
	sender, err := o.sender()
	if err != nil {
		return nil, err
	}
	o.Metrics.prepare(projector.Events())
	grace, endGrace := context.WithCancel(context.Background())
	q := queue.New(st, o.queue())
	return &Dispatcher{
		options: o, queue: q, newProcess: func() process { return q.NewProcess() },
		follower: follower, webhooks: newWebhookCache(st), sender: sender, projector: projector, metrics: o.Metrics, reporter: newReporter(o.Logger),
		skipped: &skippedLog{at: map[string]time.Time{}},
		stop:    make(chan struct{}), grace: grace, endGrace: endGrace, done: make(chan struct{}),
	}, nil
}

// Run delivers until Shutdown is called or ctx is done, which starts a shutdown with the whole
// grace period. It returns once everything it started has ended and what it held is free for
// others.
func (d *Dispatcher) Run(ctx context.Context) {
	defer close(d.done)
	defer d.sender.Close()
	defer d.endGrace()
	if d.follower != nil {
		defer d.follower.SubscribeWebhooks(d.webhooks)()
	}
	unhook := context.AfterFunc(ctx, d.Drain)
	defer unhook()
	janitor := &janitor{
		queue: d.queue, deadLimit: int64(d.options.DeadLimit), metrics: d.metrics, logger: d.options.Logger,
		sweepWebhooks: d.webhooks.sweep, reporter: d.reporter,
	}
	defer d.reporter.logRest()
	defer startLoop(context.Background(), janitor.run).stop()
	for {
		s := newSession(d, d.newProcess())
		d.mu.Lock()
		d.session = s
		d.mu.Unlock()
		d.result = s.serve(d.grace, d.stop)
		select {
		case <-d.stop:
			return
		default:
		}
		select { // the session ended by itself: pause before the next
		case <-d.stop:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Drain begins the shutdown and does not wait for its end: nothing new is dequeued, and the grace
// period runs. A second call does nothing.
func (d *Dispatcher) Drain() {
	d.stopOnce.Do(func() {
		d.reporter.stop()
		time.AfterFunc(d.options.GracePeriod, d.endGrace)
		close(d.stop)
	})
}

// Shutdown dequeues nothing new, waits for what is in flight until the grace period or ctx ends,
// requeues the rest at once, and returns when Run is about to. The error says that Redis could not
// be told; then other processes recover the work within 15 s. Shutdown waits for Run, so Run must
// have been called.
func (d *Dispatcher) Shutdown(ctx context.Context) error {
	d.Drain()
	defer context.AfterFunc(ctx, d.endGrace)()
	<-d.done
	return d.result
}

// Ready is what /readyz says of this dispatcher. It is not OK before the first contact with a Redis
// that has its schema marker, and while stopping.
type Ready struct {
	OK       bool
	Problems map[string]string // what is wrong now, by component, in words; nil if nothing is
}

// Ready reports whether the dispatcher does its work.
func (d *Dispatcher) Ready() Ready { return d.reporter.ready() }
