package queue

import (
	"context"
	"net/http"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// maxReplay is how many dead events one call looks at, at most (contract section 10).
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
		return &config.Error{Status: http.StatusBadRequest, Code: code, Field: field, Detail: detail}
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
type Refused struct {
	ID     string
	OrgID  string // empty where unknown
	Reason string
}

// Replayed is how a replay went.
type Replayed struct {
	Replayed   int
	Refused    []Refused
	Remaining  int    // dead events that the same wish still finds beyond those looked at
	NextCursor string // for the next call; empty where the end was reached
}

// letter is where one dead event stands.
type letter struct{ id, org, at string }

// Replay moves dead events back into the stream, each in one step, under the same Webhook-Id. An id that names several dead events of
// one organization moves them all, the oldest first. Its errors are *config.Error where a rule refuses the wish.
func (q *Queue) Replay(ctx context.Context, r Replay) (Replayed, error) {
	if err := r.check(); err != nil {
		return Replayed{}, err
	}
	if r.Limit <= 0 || r.Limit > maxReplay {
		r.Limit = maxReplay
	}
	var out Replayed
	var letters []letter
	var err error
	if len(r.IDs) > 0 {
		letters, out.Refused, err = q.findByID(ctx, r.IDs, r.Org)
	} else {
		letters, out.NextCursor, out.Remaining, err = q.findByOrg(ctx, r)
	}
	if err != nil {
		return Replayed{}, storeError(err)
	}
	letters, idle, err := q.split(ctx, letters)
	if err != nil {
		return Replayed{}, err
	}
	out.Refused = append(out.Refused, idle...)
	for len(letters) > 0 {
		n := min(len(letters), 64)
		args := make([]any, 0, 3*n)
		for _, l := range letters[:n] {
			args = append(args, l.id, l.org, l.at)
		}
		moved, err := q.run(ctx, replayScript, "", args...)
		if err != nil {
			return out, storeError(err)
		}
		for i, m := range list(moved[0]) {
			if num(m) == 1 {
				out.Replayed++
			} else if len(r.IDs) > 0 && i < n {
				out.Refused = append(out.Refused, Refused{ID: letters[i].id, OrgID: r.Org, Reason: RefusedNotFound})
			}
		}
		letters = letters[n:]
	}
	return out, nil
}

// findByID finds the dead events with the given ids, through the index by id.
func (q *Queue) findByID(ctx context.Context, ids []string, org string) (found []letter, refused []Refused, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	pipe := q.store.Client().Pipeline()
	cmds := make([]*redis.StringSliceCmd, 0, len(ids))
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		if !config.ValidID(id) {
			refused = append(refused, Refused{ID: id, Reason: RefusedNotFound})
			continue
		}
		low, high := "["+id+"/", "("+id+"0"
		if org != "" {
			low, high = low+org+"/", "("+id+"/"+org+"0"
		}
		cmds = append(cmds, pipe.ZRangeByLex(ctx, q.names.DeadByID(), &redis.ZRangeBy{Min: low, Max: high, Count: 100}))
	}
	if len(cmds) == 0 {
		return nil, refused, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, nil, err
	}
	for _, c := range cmds {
		id := strings.TrimPrefix(c.Args()[2].(string), "[")
		id, _, _ = strings.Cut(id, "/")
		var mine []letter
		orgs := map[string]bool{}
		for _, m := range c.Val() {
			if part := strings.Split(m, "/"); len(part) == 3 {
				mine = append(mine, letter{part[0], part[1], part[2]})
				orgs[part[1]] = true
			}
		}
		switch {
		case len(mine) == 0:
			refused = append(refused, Refused{ID: id, OrgID: org, Reason: RefusedNotFound})
		case len(orgs) > 1:
			refused = append(refused, Refused{ID: id, Reason: RefusedAmbiguous})
		default:
			found = append(found, mine...)
		}
	}
	return found, refused, nil
}

// findByOrg finds an organization's dead events, or everybody's, oldest first within each organization, beyond the cursor. What died
// after the first call, which the cursor remembers, is left out: it may have been replayed by it.
func (q *Queue) findByOrg(ctx context.Context, r Replay) (found []letter, next string, remaining int, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	c := q.store.Client()
	begun, last, ok := strings.Cut(r.Cursor, ",")
	low, high := "-", "+"
	if r.Org != "" {
		low = "[" + r.Org + "/"
	}
	switch {
	case r.Cursor == "":
		newest, err := c.XRevRangeN(ctx, q.names.Dead(), "+", "-", 1).Result()
		if err != nil || len(newest) == 0 {
			return nil, "", 0, err
		}
		begun = newest[0].ID
	case !ok || !streamID.MatchString(begun) || !strings.Contains(last, "/") || r.Org != "" && !strings.HasPrefix(last, r.Org+"/"):
		return nil, "", 0, config.ErrInvalidCursor
	default:
		low = "(" + last
	}
	if r.Org != "" {
		high = "[" + orgPlace(r.Org, begun)
	}
	places, err := c.ZRangeByLex(ctx, q.names.DeadByOrg(), &redis.ZRangeBy{Min: low, Max: high, Count: int64(r.Limit)}).Result()
	if err != nil {
		return nil, "", 0, err
	}
	for _, p := range places {
		org, at := splitPlace(p)
		if orgPlace("", at) <= orgPlace("", begun) {
			found = append(found, letter{org: org, at: at})
		}
	}
	if len(places) == r.Limit {
		last := places[len(places)-1]
		n, err := c.ZLexCount(ctx, q.names.DeadByOrg(), "("+last, high).Result()
		if err != nil {
			return nil, "", 0, err
		}
		if n > 0 {
			next, remaining = begun+","+last, int(n)
		}
	}
	return found, next, remaining, nil
}

// split tells the dead events whose organization has an active webhook now from those that are refused.
func (q *Queue) split(ctx context.Context, all []letter) (active []letter, refused []Refused, err error) {
	var keys []string
	at := map[string]int{}
	for _, l := range all {
		if _, ok := at[l.org]; !ok {
			at[l.org] = len(keys)
			keys = append(keys, q.names.Webhook(l.org))
		}
	}
	if len(keys) == 0 {
		return nil, nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*commandTimeout)
	defer cancel()
	hashes := q.store.ReadHashes(ctx, keys...)
	for _, h := range hashes {
		if h.Err != nil {
			return nil, nil, storeError(h.Err)
		}
		if len(h.Fields) == 0 && !h.Marked {
			return nil, nil, config.ErrStoreNotInitialized
		}
	}
	var idle []letter
	for _, l := range all {
		if hashes[at[l.org]].Fields[store.WebhookActive] == "1" {
			active = append(active, l)
		} else {
			idle = append(idle, l)
		}
	}
	for len(idle) > 0 {
		n := min(len(idle), 100)
		args := make([]any, n)
		for i, l := range idle[:n] {
			args[i] = l.at
		}
		r, err := q.run(ctx, namesScript, "", args...)
		if err != nil {
			return nil, nil, storeError(err)
		}
		for i, id := range strs(r[0]) {
			if id != "" {
				refused = append(refused, Refused{ID: id, OrgID: idle[i].org, Reason: RefusedInactive})
			}
		}
		idle = idle[n:]
	}
	return active, refused, nil
}
