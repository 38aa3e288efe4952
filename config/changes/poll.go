package changes

// This file is one poll of the follower: the pipeline it sends, and what it concludes from the
// reply.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// batch bounds the entries that one poll reads; a follower that is behind polls without waiting.
const batch = 1000

// poll asks Redis once and delivers what it learned.
func (f *Follower) poll(ctx context.Context) error {
	if !f.contact {
		return f.seekToEnd(ctx)
	}
	wait, limit := time.Duration(-1), quickDeadline // after a reconnect: catch up and prove at once
	if f.connected {
		wait, limit = f.block, readDeadline
	}
	// The cancellation of ctx is left out: go-redis would not heed it while Redis waits, and a poll
	// that ends by itself leaves a connection that can be used again.
	pollCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	sent := time.Now()
	stream := f.store.Names().Changes()
	pipe := f.store.BlockingClient().Pipeline()
	read := pipe.XRead(pollCtx, &redis.XReadArgs{
		Streams: []string{stream, f.after}, Count: batch, Block: wait,
	})
	var atPosition *redis.XMessageSliceCmd
	if f.position != "" {
		atPosition = pipe.XRange(pollCtx, stream, f.position, f.position)
	}
	_, _ = pipe.Exec(pollCtx) // each command has its own error
	streams, err := read.Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("reading changes: %w", err)
	}
	var entries []redis.XMessage
	if len(streams) > 0 {
		entries = streams[0].Messages
	}
	complete, err := f.isComplete(atPosition, entries)
	if err != nil {
		return fmt.Errorf("looking up the last delivered change: %w", err)
	}
	if !complete && f.position != "" {
		f.logger.Warn("the stream of changes was trimmed or replaced; every cached entry is read again before its next use")
	}
	if !complete && len(entries) == 0 {
		return f.seekToEnd(ctx) // P is gone, and the stream may go on from a smaller id
	}
	f.deliver(entries, !complete, sent)
	return nil
}

// isComplete reports whether the reply proves that no change was missed.
func (f *Follower) isComplete(atPosition *redis.XMessageSliceCmd, entries []redis.XMessage) (bool, error) {
	if atPosition == nil {
		// The stream was empty. That proves something only while it stays empty on the same
		// connection.
		return f.connected && len(entries) == 0, nil
	}
	found, err := atPosition.Result()
	return len(found) > 0, err
}

// seekToEnd takes the end of the stream as the position. Earlier changes may have been missed;
// later ones are delivered.
func (f *Follower) seekToEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quickDeadline)
	defer cancel()
	sent := time.Now()
	last, err := f.store.BlockingClient().XRevRangeN(ctx, f.store.Names().Changes(), "+", "-", 1).Result()
	if err != nil {
		return fmt.Errorf("reading the last change: %w", err)
	}
	f.position, f.after = "", "0-0"
	if len(last) > 0 {
		f.position, f.after = last[0].ID, last[0].ID
	}
	f.contact = true
	f.deliver(nil, true, sent)
	return nil
}

// deliver moves the position behind entries and tells the handlers of each, then of a gap. The gap
// comes last, because it is about everything before it.
func (f *Follower) deliver(entries []redis.XMessage, gap bool, sent time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range entries {
		f.dispatchEntry(e)
		f.position, f.after = e.ID, e.ID
	}
	if gap {
		for _, h := range f.keys {
			h.Gap()
		}
		for _, h := range f.webhooks {
			h.Gap()
		}
	}
	// A full batch proves nothing: more entries may follow it that were announced before sent.
	if len(entries) < batch {
		f.provenAt = sent
	}
}
