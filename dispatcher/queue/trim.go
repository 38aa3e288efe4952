package queue

// This file is about the bounds of the dead events.

import (
	"context"
	"time"
)

// TrimResult is what a Trim did.
type TrimResult struct {
	Expired   int           // dropped as past their retention
	OverLimit int           // dropped as more than the limit
	Next      time.Duration // until another can be past its retention; 0 where more are to go now
}

// Trim drops dead events past their retention or beyond the limit, as many as one short step may. It reads the payload of what it drops,
// and of one that stays.
func (q *Queue) Trim(ctx context.Context) (TrimResult, error) {
	r, err := q.run(ctx, trimScript, "", stepLimit, q.options.DeadRetention.Milliseconds(), q.options.DeadLimit, deadBytes)
	if err != nil {
		return TrimResult{}, err
	}
	if len(r) != 3 {
		return TrimResult{}, errReply
	}
	return TrimResult{Expired: int(num(r[0])), OverLimit: int(num(r[1])), Next: time.Duration(num(r[2])) * time.Millisecond}, nil
}
