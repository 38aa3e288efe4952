package store

// This file watches every command: it counts and times them, and notices a primary that became a replica by its refusal to write.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

type hook struct {
	store    *Store
	blocking bool // of the client for commands that wait in Redis
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
		h.record(err)
		if !h.blocking && cmd.Name() != "wait" {
			h.store.metrics.observeRoundTrip(time.Since(start))
		}
		return err
	}
}

// ProcessPipelineHook watches pipelines: every command counts, the pipeline is one round trip.
func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		start := time.Now()
		err := reveal(next(ctx, cmds))
		stampUnsent(cmds, err)
		for _, cmd := range cmds {
			if e := cmd.Err(); e != nil {
				cmd.SetErr(reveal(e))
			}
			h.record(cmd.Err())
		}
		if !h.blocking {
			h.store.metrics.observeRoundTrip(time.Since(start))
		}
		return err
	}
}

// stampUnsent gives the commands of a pipeline the error of a connection that the server turned away, before any of them was sent: a wrong
// password, an unknown database, a right that is missing. go-redis takes such an answer for that of a command, and leaves each command
// without error and with an empty value, which would pass for an answer. The text alone is kept, so that nobody takes it for one either.
func stampUnsent(cmds []redis.Cmder, err error) {
	if err == nil || slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Err() != nil }) {
		return
	}
	unsent := fmt.Errorf("connecting to redis: %s", err.Error())
	for _, cmd := range cmds {
		cmd.SetErr(unsent)
	}
}

func (h hook) record(err error) {
	if redis.IsReadOnlyError(err) && !h.store.cluster {
		h.store.conns.drop()
	}
	if !errors.Is(err, context.Canceled) { // whoever asked has left: that says nothing of Redis
		h.store.metrics.observeCommand(err)
	}
}
