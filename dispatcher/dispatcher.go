// Package dispatcher delivers webhooks: it takes events from Redis, and posts each to its organization's endpoint until it is
// acknowledged or its retries are spent (specification.md, section 6).
//
// What becomes of an event in Redis is package queue; what a request looks like is package attempt; what leaves is package payload.
// This package decides what is attempted when, so that nobody's endpoint delays another's:
//
//	intake     takes from Redis what there is room for (one goroutine)
//	board      what stands in memory, whose turn it is, and who may have how much (ledger)
//	run        one event that has a slot (a goroutine each)
//	committer  writes down what came of it, many at once (one goroutine)
//	beat       keeps the lease, takes over from the dead (one goroutine)
//
// A session owns all of them; it ends with its registration in Redis. The Dispatcher outlives sessions.
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

// Dispatcher delivers the events of one store. Several, in one process or in many, share the work.
type Dispatcher struct {
	options   Options
	queue     *queue.Queue
	follower  *changes.Follower
	webhooks  *webhookCache
	sender    sender
	projector projector
	metrics   *Metrics
	health    *health

	stop     chan struct{} // closed: wind up
	stopOnce sync.Once
	grace    context.Context // done: the grace period is over
	endGrace context.CancelFunc
	done     chan struct{} // closed: Run has ended
	result   error         // of the last session, written before done is closed

	mu      sync.Mutex
	session *session // the one that serves
}

// New prepares a dispatcher over st; follower, which its owner runs, announces changed webhooks. Nothing is dialled before Run,
// which must be called once.
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
	return &Dispatcher{
		options: o, queue: queue.New(st, o.queue()), follower: follower, webhooks: newWebhookCache(st), sender: sender, projector: projector,
		metrics: o.Metrics, health: newHealth(o.Logger),
		stop: make(chan struct{}), grace: grace, endGrace: endGrace, done: make(chan struct{}),
	}, nil
}

// Run delivers until Shutdown is called, or ctx is done, which is a Shutdown with the whole grace period. It returns once everything
// it started has ended and what it held is free for others.
func (d *Dispatcher) Run(ctx context.Context) {
	defer close(d.done)
	defer d.sender.Close()
	defer d.endGrace()
	if d.follower != nil {
		defer d.follower.Subscribe(d.webhooks)()
	}
	unhook := context.AfterFunc(ctx, d.WindUp)
	defer unhook()
	keeping, stopKeeping := context.WithCancel(context.Background())
	var keeper sync.WaitGroup
	keeper.Go(func() { d.keep(keeping) })
	defer keeper.Wait()
	defer stopKeeping()
	for {
		s := newSession(d)
		d.mu.Lock()
		d.session = s
		d.mu.Unlock()
		d.result = s.serve(d.grace, d.stop)
		select {
		case <-d.stop:
			return
		default:
		}
		select { // a session that ended by itself: not at once again
		case <-d.stop:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// WindUp begins the end and does not wait for it: nothing new is read, and the grace period runs. Again it does nothing.
func (d *Dispatcher) WindUp() {
	d.stopOnce.Do(func() {
		d.health.stop()
		time.AfterFunc(d.options.GracePeriod, d.endGrace)
		close(d.stop)
	})
}

// Shutdown reads nothing new, finishes what is in flight until the grace period or ctx is over, hands the rest over at once, and
// returns when Run is about to. The error says that Redis could not be told; then others take over within 15 s. Call it only where Run
// was called.
func (d *Dispatcher) Shutdown(ctx context.Context) error {
	d.WindUp()
	defer context.AfterFunc(ctx, d.endGrace)()
	<-d.done
	return d.result
}

// Ready is what /readyz says of this dispatcher.
type Ready struct {
	OK       bool              // false before the first contact with a marked Redis and while shutting down
	Problems map[string]string // what is wrong now, by component, in words; nil where nothing is
}

// Ready reports whether the dispatcher does its work.
func (d *Dispatcher) Ready() Ready { return d.health.ready() }
