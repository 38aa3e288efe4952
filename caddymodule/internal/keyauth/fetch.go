package keyauth

// This file reads the record of one key, on behalf of all requests that wait for it.

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/cache"
)

const (
	// maxReads is how many requests of this process may be reading at the same time.
	maxReads = 256
	// minReadTime is what the waits of a request leave for its read, at least.
	minReadTime = 100 * time.Millisecond
	// conclusiveReadTime is how much time a read must have had for its failure to mean that Redis
	// is unreachable. The failure of a shorter read means nothing.
	conclusiveReadTime = 400 * time.Millisecond
)

// The errors of a read without an answer, beside those of Redis.
var (
	errNoReadSlot = errors.New("no read slot became free in time")
	errNoMarker   = errors.New("the schema marker is missing")
)

// fetch performs the read of d and finishes the call. It continues if the request's client is gone:
// other requests may wait for the answer. The error says that there was no answer.
func (a *Auth) fetch(ctx context.Context, d *digest, name string, call *cache.Call[lookupResult]) (result lookupResult, err error) {
	err = errNoReadSlot
	defer func() { a.cache.Finish(*d, call, result, err) }()
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	timer := time.NewTimer(time.Until(deadline) - minReadTime)
	defer timer.Stop()
	select {
	case a.readSlots <- struct{}{}:
		defer func() { <-a.readSlots }()
	case <-timer.C:
		return lookupResult{}, err
	}
	conclusive := time.Until(deadline) >= conclusiveReadTime
	h := a.reader.ReadHashes(ctx, name)[0]
	if unanswered(h.Err) && time.Until(deadline) > conclusiveReadTime {
		// A connection that broke while it was idle says nothing about the next one.
		h = a.reader.ReadHashes(ctx, name)[0]
	}
	if !unanswered(h.Err) || conclusive {
		a.breakers.note(name, unanswered(h.Err), a.clock.Now())
	}
	return a.parseRecord(*d, h, call.Stamp())
}

// unanswered reports whether err is not an answer of Redis, but the lack of one.
func unanswered(err error) bool {
	var reply redis.Error
	return err != nil && !errors.As(err, &reply)
}
