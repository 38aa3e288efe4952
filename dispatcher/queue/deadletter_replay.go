package queue

// This file moves dead letters back into the stream.

import (
	"context"
	"net/http"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// maxReplay is how many dead letters one call looks at, at most (specification.md, section 10).
const maxReplay = 1000

// maxReplayBatch is how many dead letters one script looks at, at most.
const maxReplayBatch = 64

// Replay names the dead letters to deliver again: those with IDs (of Org, where it is not empty),
// or all of Org, or All of every organization. A replay that names nothing, or two of these at
// once, is refused.
type Replay struct {
	IDs   []string // at most 1,000
	Org   string
	All   bool
	Limit int // without IDs: how many to look at in this call; 1,000 where 0, and at most

	// Cursor says where to continue, for a caller that replays more than one call's worth: the
	// NextCursor of the call before. Without it each call begins with the oldest dead letter, where
	// those refused before still are.
	Cursor string
}

// check refuses a replay that does not say plainly which dead letters it means: a forgotten name
// must never read as all of them.
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

// Reasons for which a replay refuses a dead letter.
const (
	RefusedNotFound  = "not_found"        // there is no such dead letter
	RefusedInactive  = "webhook_inactive" // the organization has no active webhook; nothing moves
	RefusedAmbiguous = "ambiguous_id"     // several organizations have a dead letter with this id
)

// Refusal is one dead letter that a replay left alone.
type Refusal struct {
	ID     string
	OrgID  string // empty where unknown
	Reason string
}

// ReplayResult is the outcome of a replay.
type ReplayResult struct {
	Replayed   int
	Refused    []Refusal
	Remaining  int    // dead letters that the same request finds beyond those looked at
	NextCursor string // for the next call; empty at the end
}

// Replay moves dead letters back into the stream, each in one step, under the same Webhook-Id. An
// id that several dead letters of one organization have moves them all, the oldest first. Its
// errors are *problem.Error where a rule refuses the request.
func (q *Queue) Replay(ctx context.Context, r Replay) (ReplayResult, error) {
	if err := r.check(); err != nil {
		return ReplayResult{}, err
	}
	if r.Limit <= 0 || r.Limit > maxReplay {
		r.Limit = maxReplay
	}
	var out ReplayResult
	var refs []deadRef
	var err error
	if len(r.IDs) > 0 {
		refs, out.Refused, out.Remaining, err = q.findByID(ctx, r.IDs, r.Org)
	} else {
		refs, out.NextCursor, out.Remaining, err = q.findByOrg(ctx, r)
	}
	if err != nil {
		return ReplayResult{}, managementError(err)
	}
	refs, inactive, err := q.partitionByActive(ctx, refs)
	if err != nil {
		return ReplayResult{}, err
	}
	out.Refused = append(out.Refused, inactive...)
	for len(refs) > 0 {
		moved, err := q.replayBatch(ctx, refs[:min(len(refs), maxReplayBatch)])
		if err != nil {
			return out, managementError(err)
		}
		for i, m := range moved {
			if num(m) == 1 {
				out.Replayed++
			} else if len(r.IDs) > 0 {
				out.Refused = append(out.Refused, Refusal{ID: refs[i].id, OrgID: r.Org, Reason: RefusedNotFound})
			}
		}
		refs = refs[len(moved):]
	}
	return out, nil
}

// replayBatch moves the first of the dead letters: as many as one short step may, at least one. It
// returns 1 or 0 (no such dead letter) for each that it looked at.
func (q *Queue) replayBatch(ctx context.Context, refs []deadRef) ([]any, error) {
	args := make([]any, 0, 1+3*len(refs))
	args = append(args, maxDeadBytes)
	for _, d := range refs {
		args = append(args, d.id, d.org, d.entry)
	}
	r, err := q.run(ctx, replayScript, "", args...)
	return partialReply(r, err, len(refs))
}
