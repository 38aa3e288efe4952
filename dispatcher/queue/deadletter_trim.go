package queue

// This file keeps the dead letters within their bounds.

import (
	"context"
	"time"
)

// TrimResult is the outcome of a Trim.
type TrimResult struct {
	Expired   int           // dropped because they were past their retention
	OverLimit int           // dropped because there were more than the limit
	Next      time.Duration // until another can be past its retention; 0 where more are to go now
}

// Trim drops dead letters past their retention or beyond the limit, as many as one short step may.
// It reads the payload of each that it drops, and of one that stays.
func (q *Queue) Trim(ctx context.Context) (TrimResult, error) {
	r, err := q.run(ctx, trimScript, "",
		maxStepEvents, q.options.DeadRetention.Milliseconds(), q.options.DeadLimit, maxDeadBytes)
	if err != nil {
		return TrimResult{}, err
	}
	if len(r) != 3 {
		return TrimResult{}, errReply
	}
	return TrimResult{
		Expired: int(num(r[0])), OverLimit: int(num(r[1])),
		Next: time.Duration(num(r[2])) * time.Millisecond,
	}, nil
}
