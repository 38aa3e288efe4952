package changes

// This file is one turn of the follower: what it asks Redis, and what it makes of the answer.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// batch bounds what one turn reads; a follower that is behind makes turns without a wait.
const batch = 1000

// turn asks once and hands on what it learned.
func (f *Follower) turn(ctx context.Context) error {
	if !f.contact {
		return f.anchor(ctx)
	}
	wait, limit := time.Duration(-1), quickDeadline // after a reconnect: catch up, and prove at once
	if f.connected {
		wait, limit = f.block, readDeadline
	}
	// Not ctx's cancellation: go-redis would not heed it while Redis waits, and the connection is of more use whole.
	asked, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	sent := time.Now()
	stream := f.store.Names().Changes()
	pipe := f.store.Blocking().Pipeline()
	read := pipe.XRead(asked, &redis.XReadArgs{Streams: []string{stream, f.after}, Count: batch, Block: wait})
	var still *redis.XMessageSliceCmd
	if f.position != "" {
		still = pipe.XRange(asked, stream, f.position, f.position)
	}
	_, _ = pipe.Exec(asked) // each command has its own error
	streams, err := read.Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("reading changes: %w", err)
	}
	var entries []redis.XMessage
	if len(streams) > 0 {
		entries = streams[0].Messages
	}
	proven, err := f.proven(still, entries)
	if err != nil {
		return fmt.Errorf("looking for the last change again: %w", err)
	}
	if !proven && f.position != "" {
		f.logger.Warn("the stream of changes was cut off or replaced: what is cached is read again before its next use")
	}
	if !proven && len(entries) == 0 {
		return f.anchor(ctx) // P is gone, and the stream may go on from a smaller id
	}
	f.hand(entries, !proven, sent)
	return nil
}

// proven says whether the answer proves that nothing was missed.
func (f *Follower) proven(still *redis.XMessageSliceCmd, entries []redis.XMessage) (bool, error) {
	if still == nil { // the stream was empty: it proves itself only while it stays so on the same connection
		return f.connected && len(entries) == 0, nil
	}
	found, err := still.Result()
	return len(found) > 0, err
}

// anchor takes the end of the stream as the position. Whatever came before may have been missed, and what comes after is handed on.
func (f *Follower) anchor(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, quickDeadline)
	defer cancel()
	sent := time.Now()
	last, err := f.store.Blocking().XRevRangeN(asked, f.store.Names().Changes(), "+", "-", 1).Result()
	if err != nil {
		return fmt.Errorf("reading the last change: %w", err)
	}
	f.position, f.after = "", "0-0"
	if len(last) > 0 {
		f.position, f.after = last[0].ID, last[0].ID
	}
	f.contact = true
	f.hand(nil, true, sent)
	return nil
}

// hand moves the position behind entries and tells the handlers of them, and of a gap. The gap comes last, since it is about everything
// before.
func (f *Follower) hand(entries []redis.XMessage, gap bool, sent time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range entries {
		f.tell(e)
		f.position, f.after = e.ID, e.ID
	}
	if gap {
		for _, h := range f.handlers {
			h.Gap()
		}
	}
	// A full batch may have more behind it; what was sent before it was answered is not proved by it.
	if len(entries) < batch {
		f.provenAt = sent
	}
}
