package caddymodule

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

// dispatchers holds the running dispatchers. Its users are configurations between their Start and their Stop; since a reload starts the
// new configuration before it stops the old one, a dispatcher whose options stay the same is not disturbed. Where they change, the new
// one begins while the old one finishes what it has in flight, as two processes would: they share the work through Redis.
var dispatchers = caddy.NewUsagePool()

// dispatcherKey says what two configurations must have in common to share one dispatcher.
type dispatcherKey struct {
	core    [sha256.Size]byte
	options string
	ca      [sha256.Size]byte // of the content of ca_file, so that a reload reads a renewed one
}

// runningDispatcher is a dispatcher and what it holds on to.
type runningDispatcher struct {
	core        *core
	releaseCore func() error
	dispatcher  *dispatcher.Dispatcher
	grace       time.Duration
	done        chan struct{} // closed once Run has returned
}

// dispatch makes the core deliver webhooks with these settings, and returns the function, to be called once, that says this user needs it
// no more.
func (c *core) dispatch(s *dispatcherSettings) (d *dispatcher.Dispatcher, stop func() error, err error) {
	key := dispatcherKey{core: c.target.key(), options: s.key}
	if s.options.CAFile != "" {
		pem, err := os.ReadFile(s.options.CAFile)
		if err != nil {
			return nil, nil, err
		}
		key.ca = sha256.Sum256(pem)
	}
	v, _, err := dispatchers.LoadOrNew(key, func() (caddy.Destructor, error) { return startDispatcher(c.target, s.options) })
	if err != nil {
		return nil, nil, err
	}
	return v.(*runningDispatcher).dispatcher, func() error {
		_, err := dispatchers.Delete(key)
		return err
	}, nil
}

func startDispatcher(t redisTarget, o dispatcher.Options) (*runningDispatcher, error) {
	c, release, err := acquireCore(t, nil) // it is there: the caller has it
	if err != nil {
		return nil, err
	}
	o.Version, o.Logger, o.Metrics = version(), c.logger, metrics.webhooks
	d, err := dispatcher.New(c.store, c.follower, o)
	if err != nil {
		return nil, errors.Join(err, release())
	}
	r := &runningDispatcher{core: c, releaseCore: release, dispatcher: d, grace: o.GracePeriod, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		d.Run(context.Background()) // ends by Shutdown
	}()
	return r, nil
}

// windUpEarly makes a dispatcher read nothing new from the moment the process begins to stop. Its app may be the last that is stopped:
// Caddy takes them one after the other, in no particular order, and the HTTP server takes its own grace period.
func windUpEarly(ctx caddy.Context, d *atomic.Pointer[dispatcher.Dispatcher]) error {
	app, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("getting the events app: %w", err)
	}
	return app.(*caddyevents.App).On("stopping", whenStopping(func() {
		if running := d.Load(); running != nil && caddy.Exiting() {
			running.WindUp()
		}
	}))
}

// whenStopping handles an event that says no more than its name.
type whenStopping func()

// Handle implements caddyevents.Handler.
func (f whenStopping) Handle(context.Context, caddy.Event) error {
	f()
	return nil
}

// Destruct ends a dispatcher that no configuration wants any more, within its grace period: while the process exits before returning,
// after a reload in the background.
func (r *runningDispatcher) Destruct() error {
	if caddy.Exiting() {
		return r.end()
	}
	teardowns.later(0, func() {
		if err := r.end(); err != nil {
			r.core.logger.Error("stopping the dispatcher of a former configuration", "error", err)
		}
	})
	return nil
}

// handOver is how long a dispatcher may take beyond its grace period, to tell Redis what it leaves.
const handOver = 5 * time.Second

// end winds the dispatcher up. Where it does not end in time, its core stays, as it may still be used.
func (r *runningDispatcher) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), r.grace+handOver)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		err := r.dispatcher.Shutdown(context.Background()) // heeds the grace period by itself
		<-r.done
		ended <- err
	}()
	select {
	case err := <-ended:
		return errors.Join(err, r.releaseCore())
	case <-ctx.Done():
		return fmt.Errorf("the dispatcher did not end within %s", r.grace+handOver)
	}
}
