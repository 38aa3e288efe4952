package queue

// This file is about replays: what can be wished for, and moving dead events back into the stream.

import (
	"context"
	"net/http"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// maxReplay is how many dead events one call looks at, at most (specification.md, section 10).
const maxReplay = 1000

// Replay names the dead events to deliver afresh: those with IDs (of Org, where it is not empty), or all of Org, or All of everybody.
// One that names nothing, or two of these at once, is refused.
type Replay struct {
	IDs   []string // at most 1,000
	Org   string
	All   bool
	Limit int // without IDs: how many to look at in this call; 1,000 where 0, and at most

	// Cursor says where to go on, for a caller that goes through more than one call's worth: the NextCursor of the call before.
	// Without it each call begins with the oldest, where the refused ones still stand.
	Cursor string
}

// check refuses what does not say plainly which events it means: what is forgotten must never read as all of them.
func (r Replay) check() error {
	bad := func(code, field, detail string) error {
		return &problem.Error{Status: http.StatusBadRequest, Code: code, Field: field, Detail: detail}
	}
	switch {
	case r.All && r.IDs != nil:
		return bad("contradiction", "all", "name ids, or all, not both")
	case r.All && r.Org != "":
		return bad("contradiction", "all", "name an organization, or all, not both")
	case r.IDs != nil && len(r.IDs) == 0:
		return bad("nothing_named", "ids", "name the ids of the dead events to replay")
	case len(r.IDs) > maxReplay:
		return bad("too_many_ids", "ids", "name at most 1,000 ids in one request")
	case r.IDs == nil && r.Org == "" && !r.All:
		return bad("nothing_named", "", "name ids, an organization, or all")
	case r.Org != "":
		return config.CheckOrg(r.Org)
	}
	return nil
}

// Reasons to refuse a replay.
const (
	RefusedNotFound  = "not_found"        // there is no such dead event
	RefusedInactive  = "webhook_inactive" // the organization has no active webhook; the event stays where it is
	RefusedAmbiguous = "ambiguous_id"     // several organizations have a dead event with this id: name one
)

// Refused is one event that a replay left alone.
type Refusal struct {
	ID     string
	OrgID  string // empty where unknown
	Reason string
}

// Replayed is how a replay went.
type ReplayResult struct {
	Replayed   int
	Refused    []Refusal
	Remaining  int    // dead events that the same wish still finds beyond those looked at
	NextCursor string // for the next call; empty where the end was reached
}

// Replay moves dead events back into the stream, each in one step, under the same Webhook-Id. An id that names several dead events of
// one organization moves them all, the oldest first. Its errors are *problem.Error where a rule refuses the wish.
func (q *Queue) Replay(ctx context.Context, r Replay) (ReplayResult, error) {
	if err := r.check(); err != nil {
		return ReplayResult{}, err
	}
	if r.Limit <= 0 || r.Limit > maxReplay {
		r.Limit = maxReplay
	}
	var out ReplayResult
	var letters []letter
	var err error
	if len(r.IDs) > 0 {
		letters, out.Refused, out.Remaining, err = q.findByID(ctx, r.IDs, r.Org)
	} else {
		letters, out.NextCursor, out.Remaining, err = q.findByOrg(ctx, r)
	}
	if err != nil {
		return ReplayResult{}, storeError(err)
	}
	letters, idle, err := q.split(ctx, letters)
	if err != nil {
		return ReplayResult{}, err
	}
	out.Refused = append(out.Refused, idle...)
	for len(letters) > 0 {
		moved, err := q.move(ctx, letters[:min(len(letters), replayLimit)])
		if err != nil {
			return out, storeError(err)
		}
		for i, m := range moved {
			if num(m) == 1 {
				out.Replayed++
			} else if len(r.IDs) > 0 {
				out.Refused = append(out.Refused, Refusal{ID: letters[i].id, OrgID: r.Org, Reason: RefusedNotFound})
			}
		}
		letters = letters[len(moved):]
	}
	return out, nil
}

// replayLimit is how many dead events one script looks at, at most.
const replayLimit = 64

// move moves as many of the first letters as one short step may, one at least. It returns 1 or 0 (no such event) for each that it
// looked at.
func (q *Queue) move(ctx context.Context, letters []letter) ([]any, error) {
	args := make([]any, 0, 1+3*len(letters))
	args = append(args, deadBytes)
	for _, l := range letters {
		args = append(args, l.id, l.org, l.at)
	}
	r, err := q.run(ctx, replayScript, "", args...)
	return some(r, err, len(letters))
}

// some is the list in the reply of a script that may do less than it was asked to, but something.
func some(r []any, err error, asked int) ([]any, error) {
	if err != nil {
		return nil, err
	}
	l := list(r[0])
	if len(l) == 0 || len(l) > asked {
		return nil, errReply
	}
	return l, nil
}
