package store

// This file watches every command: it counts and times commands, makes error replies readable, and
// detects a primary that became a replica by its refusal to write.

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
	blocking bool // the client for commands that wait in Redis
}

// DialHook leaves dialling as it is.
func (h hook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook watches single commands.
func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		start := time.Now()
		err := readable(unmask(next(ctx, cmd)))
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

// ProcessPipelineHook watches pipelines: each command is counted, the pipeline is one round trip.
func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		start := time.Now()
		err := readable(unmask(next(ctx, cmds)))
		markUnsent(cmds, err)
		for _, cmd := range cmds {
			if e := cmd.Err(); e != nil {
				cmd.SetErr(readable(unmask(e)))
			}
			h.record(cmd.Err())
		}
		if !h.blocking {
			h.store.metrics.observeRoundTrip(time.Since(start))
		}
		return err
	}
}

// markUnsent gives the commands of a pipeline the error of a connection that the server refused
// before any of them was sent: a wrong password, an unknown database, a missing right. go-redis
// takes that error for the reply to a command, and leaves each command without an error and with an
// empty value, which would pass for a reply. Only the text is kept, so that nobody takes it for a
// reply either.
func markUnsent(cmds []redis.Cmder, err error) {
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
	if !errors.Is(err, context.Canceled) { // the caller has left, which says nothing about Redis
		h.store.metrics.observeCommand(err)
	}
}
