package store

// This file runs many scripts in one pipeline.

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// ScriptCall is one run of a script.
type ScriptCall struct {
	Script *redis.Script
	Keys   []string
	Args   []any
}

// EvalPipeline runs scripts in one pipeline and returns their replies in the order of calls. The
// function with, unless nil, adds further commands to that pipeline, after the scripts.
//
// Scripts are sent by their hash. Calls whose script a server does not know, as after a restart,
// are sent once more in a second pipeline, with the text of the script, and run only then: after
// the calls that came behind them in the first pipeline. If the script is unknown again, because
// somebody flushed all scripts between the two or another server answered, the call keeps its
// NOSCRIPT error.
func (s *Store) EvalPipeline(ctx context.Context, calls []ScriptCall, with func(redis.Pipeliner)) []*redis.Cmd {
	replies := make([]*redis.Cmd, len(calls))
	pipe := s.client.Pipeline()
	for i, c := range calls {
		replies[i] = c.Script.EvalSha(ctx, pipe, c.Keys, c.Args...)
	}
	if with != nil {
		with(pipe)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	pipe = nil
	sent := map[*redis.Script]bool{} // with its text
	for i, c := range calls {
		if !redis.HasErrorPrefix(replies[i].Err(), "NOSCRIPT") {
			continue
		}
		if pipe == nil {
			pipe = s.client.Pipeline()
		}
		run := c.Script.EvalSha
		// In a Cluster each node learns the script for itself.
		if s.cluster || !sent[c.Script] {
			run, sent[c.Script] = c.Script.Eval, true
		}
		replies[i] = run(ctx, pipe, c.Keys, c.Args...)
	}
	if pipe != nil {
		_, _ = pipe.Exec(ctx) // each command has its own error
	}
	return replies
}
