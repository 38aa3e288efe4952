package store

// This file watches every command: it tells the Observer, and notices a primary that became a replica by its refusal to write.

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

type hook struct {
	store    *Store
	observer Observer
	blocking bool
}

// DialHook leaves dialling as it is.
func (h hook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook watches single commands.
func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		start := time.Now()
		err := reveal(next(ctx, cmd))
		if err != nil {
			cmd.SetErr(err)
		}
		h.saw(err)
		if h.observer != nil && !h.blocking {
			h.observer.ObserveRoundTrip(time.Since(start))
		}
		return err
	}
}

// ProcessPipelineHook watches pipelines: every command counts, the pipeline is one round trip.
func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		start := time.Now()
		err := reveal(next(ctx, cmds))
		for _, cmd := range cmds {
			if e := cmd.Err(); e != nil {
				cmd.SetErr(reveal(e))
			}
			h.saw(cmd.Err())
		}
		if h.observer != nil && !h.blocking {
			h.observer.ObserveRoundTrip(time.Since(start))
		}
		return err
	}
}

func (h hook) saw(err error) {
	if redis.IsReadOnlyError(err) && !h.store.cluster {
		h.store.conns.drop()
	}
	if h.observer != nil && !errors.Is(err, context.Canceled) { // whoever asked has left: that says nothing of Redis
		h.observer.ObserveCommand(err)
	}
}

// SentOnce keeps the Cluster client from sending a command again whose answer was lost: it may have been carried out. go-redis does so on
// its own count of redirections, whatever MaxRetries says, unless it does not recognize the error.
type sentOnce struct{}

// DialHook leaves dialling as it is.
func (sentOnce) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook hides the errors of connections from the Cluster client.
func (sentOnce) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return hide(next(ctx, cmd)) }
}

// ProcessPipelineHook leaves pipelines as they are: go-redis decides about their repetition inside of it.
func (sentOnce) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Lost is an error after which a command may have been carried out, in a form that go-redis does not recognize.
type lost struct{ cause error }

func (l *lost) Error() string { return l.cause.Error() }

func hide(err error) error {
	if err == nil {
		return nil
	}
	if _, answered := errors.AsType[redis.Error](err); answered {
		return err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return err // nothing was sent
	}
	return &lost{err}
}

func reveal(err error) error {
	if l, ok := errors.AsType[*lost](err); ok {
		return l.cause
	}
	return err
}
