package runtime

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

// dispatchers holds the running dispatchers. Configurations refer to them between their Start and
// their Stop. A reload starts the new configuration before it stops the old one, so a dispatcher
// whose options stay the same keeps running undisturbed. If the options change, the new dispatcher
// starts while the old one finishes its deliveries in flight; like two processes, they share the
// work through Redis.
var dispatchers = caddy.NewUsagePool()

// DispatcherConfig holds validated options of a dispatcher.
type DispatcherConfig struct {
	Options dispatcher.Options
	Key     string // configurations with equal keys share a dispatcher
}

// dispatcherKey identifies a dispatcher in the pool.
type dispatcherKey struct {
	runtime [sha256.Size]byte
	config  string
	ca      [sha256.Size]byte // of the content of ca_file, so that a reload uses a renewed one
}

// runningDispatcher is a dispatcher and what it keeps alive.
type runningDispatcher struct {
	runtime    *Runtime
	release    func() error // of runtime
	dispatcher *dispatcher.Dispatcher
	grace      time.Duration
	done       chan struct{} // closed when Run has returned
}

// Dispatch makes the Runtime deliver webhooks. It returns the dispatcher and a function that
// releases it, to be called once.
func (r *Runtime) Dispatch(c *DispatcherConfig) (d *dispatcher.Dispatcher, release func() error, err error) {
	key := dispatcherKey{runtime: r.target.key(), config: c.Key}
	if c.Options.CAFile != "" {
		pem, err := os.ReadFile(c.Options.CAFile)
		if err != nil {
			return nil, nil, err
		}
		key.ca = sha256.Sum256(pem)
	}
	v, _, err := dispatchers.LoadOrNew(key, func() (caddy.Destructor, error) { return startDispatcher(r.target, c.Options) })
	if err != nil {
		return nil, nil, err
	}
	return v.(*runningDispatcher).dispatcher, func() error {
		_, err := dispatchers.Delete(key)
		return err
	}, nil
}

func startDispatcher(t Target, o dispatcher.Options) (*runningDispatcher, error) {
	r, release, err := Acquire(t, nil) // exists: the caller of Dispatch holds it
	if err != nil {
		return nil, err
	}
	o.Logger, o.Metrics = r.logger, metrics.webhooks
	d, err := dispatcher.New(r.store, r.follower, o)
	if err != nil {
		return nil, errors.Join(err, release())
	}
	running := &runningDispatcher{runtime: r, release: release, dispatcher: d, grace: o.GracePeriod, done: make(chan struct{})}
	go func() {
		defer close(running.done)
		d.Run(context.Background()) // returns after Shutdown
	}()
	return running, nil
}

// DrainOnStopping makes the dispatcher in d stop dequeuing at the moment the process begins to
// stop. Without it, that would happen when Caddy stops the app, possibly last: Caddy stops apps one
// after the other in no particular order, and the HTTP server uses its own grace period.
func DrainOnStopping(ctx caddy.Context, d *atomic.Pointer[dispatcher.Dispatcher]) error {
	app, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("getting the events app: %w", err)
	}
	return app.(*caddyevents.App).On("stopping", eventHandler(func() {
		if running := d.Load(); running != nil && caddy.Exiting() {
			running.Drain()
		}
	}))
}

// eventHandler handles an event of which only the name matters.
type eventHandler func()

// Handle implements caddyevents.Handler.
func (f eventHandler) Handle(context.Context, caddy.Event) error {
	f()
	return nil
}

// Destruct ends a dispatcher that no configuration refers to any more, within its grace period:
// while the process exits before Destruct returns, after a reload in the background.
func (d *runningDispatcher) Destruct() error {
	if caddy.Exiting() {
		return d.end()
	}
	teardowns.later(0, func() {
		if err := d.end(); err != nil {
			d.runtime.logger.Error("stopping the dispatcher of a former configuration failed", "error", err)
		}
	})
	return nil
}

// requeueTimeout is how long a dispatcher may take beyond its grace period to requeue what it did
// not finish.
const requeueTimeout = 5 * time.Second

// end shuts the dispatcher down. If it does not end in time, its Runtime is not released, because
// the dispatcher may still use it.
func (d *runningDispatcher) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), d.grace+requeueTimeout)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		err := d.dispatcher.Shutdown(context.Background()) // observes the grace period by itself
		<-d.done
		ended <- err
	}()
	select {
	case err := <-ended:
		return errors.Join(err, d.release())
	case <-ctx.Done():
		return fmt.Errorf("the dispatcher did not end within %s", d.grace+requeueTimeout)
	}
}
