package queue

// This file finds the dead letters that a replay names, and tells which of them it may not move.

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// deadRef refers to one dead letter. id is empty where it was found by its organization: that index
// does not have the id.
type deadRef struct{ id, org, entry string }

// idRange is the range of the dead letters with one id in the index by id: those of one
// organization, or of all.
type idRange struct {
	id, low, high string
	count         *redis.IntCmd
	first, last   *redis.StringSliceCmd
	members       *redis.StringSliceCmd
}

// findByID finds the dead letters with the given ids through the index by id: at most maxReplay,
// the oldest of each id first. remaining is how many more there are.
func (q *Queue) findByID(ctx context.Context, ids []string, org string) (found []deadRef, refused []Refusal, remaining int, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	index := q.names.DeadByID()
	pipe := q.store.Client().Pipeline()
	var ranges []*idRange
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		if !config.ValidID(id) {
			refused = append(refused, Refusal{ID: id, Reason: RefusedNotFound})
			continue
		}
		r := &idRange{id: id, low: "[" + id + "/", high: "(" + id + "0"} // '0' follows '/'
		if org != "" {
			r.low, r.high = r.low+org+"/", "("+id+"/"+org+"0"
		}
		one := &redis.ZRangeBy{Min: r.low, Max: r.high, Count: 1}
		r.count = pipe.ZLexCount(ctx, index, r.low, r.high)
		r.first, r.last = pipe.ZRangeByLex(ctx, index, one), pipe.ZRevRangeByLex(ctx, index, one)
		ranges = append(ranges, r)
	}
	if len(ranges) == 0 {
		return nil, refused, 0, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, nil, 0, err
	}
	room := maxReplay
	for _, r := range ranges {
		n := int(r.count.Val())
		first, last := parseIDIndex(r.first.Val()), parseIDIndex(r.last.Val())
		switch {
		case len(first) == 0 || len(last) == 0:
			refused = append(refused, Refusal{ID: r.id, OrgID: org, Reason: RefusedNotFound})
		case first[0].org != last[0].org: // within one id, the index is sorted by organization
			refused = append(refused, Refusal{ID: r.id, Reason: RefusedAmbiguous})
		case room == 0:
			remaining += n
		default:
			take := min(n, room)
			room, remaining = room-take, remaining+n-take
			r.members = pipe.ZRangeByLex(ctx, index, &redis.ZRangeBy{Min: r.low, Max: r.high, Count: int64(take)})
		}
	}
	if room == maxReplay {
		return nil, refused, 0, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, nil, 0, err
	}
	for _, r := range ranges {
		if r.members != nil {
			found = append(found, parseIDIndex(r.members.Val())...)
		}
	}
	return found, refused, remaining, nil
}

// parseIDIndex parses members of the index by id. It skips what a foreign client added and is none:
// Redis would refuse the whole step for an entry that is not a stream id.
func parseIDIndex(members []string) (refs []deadRef) {
	for _, m := range members {
		if part := strings.Split(m, "/"); len(part) == 3 && validStreamID(part[2]) {
			refs = append(refs, deadRef{part[0], part[1], part[2]})
		}
	}
	return refs
}

// findByOrg finds the dead letters of an organization, or of all, beyond the cursor, oldest first
// within each organization. It leaves out events that died after the first call, which the cursor
// remembers: that call may have replayed them.
func (q *Queue) findByOrg(ctx context.Context, r Replay) (found []deadRef, next string, remaining int, err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	c := q.store.Client()
	// newest is the newest dead letter at the first call.
	newest, last, ok := strings.Cut(r.Cursor, ",")
	low, high := "-", "+"
	if r.Org != "" {
		low = "[" + r.Org + "/"
	}
	switch {
	case r.Cursor == "":
		entries, err := c.XRevRangeN(ctx, q.names.Dead(), "+", "-", 1).Result()
		if err != nil || len(entries) == 0 {
			return nil, "", 0, err
		}
		newest = entries[0].ID
	case !ok || !validStreamID(newest) || last == "" ||
		r.Org != "" && !strings.HasPrefix(last, r.Org+"/"):
		return nil, "", 0, config.ErrInvalidCursor
	default:
		low = "(" + last
	}
	if r.Org != "" {
		high = "[" + orgIndexMember(r.Org, newest)
	}
	members, err := c.ZRangeByLex(ctx, q.names.DeadByOrg(), &redis.ZRangeBy{Min: low, Max: high, Count: int64(r.Limit)}).Result()
	if err != nil {
		return nil, "", 0, err
	}
	for _, m := range members {
		org, entry, ok := parseOrgIndexMember(m)
		if ok && orgIndexMember("", entry) <= orgIndexMember("", newest) {
			found = append(found, deadRef{org: org, entry: entry})
		}
	}
	if len(members) == r.Limit {
		last := members[len(members)-1]
		n, err := c.ZLexCount(ctx, q.names.DeadByOrg(), "("+last, high).Result()
		if err != nil {
			return nil, "", 0, err
		}
		if n > 0 {
			next, remaining = newest+","+last, int(n)
		}
	}
	return found, next, remaining, nil
}

// partitionByActive parts the dead letters whose organization has an active webhook now from those
// that are refused.
func (q *Queue) partitionByActive(ctx context.Context, all []deadRef) (active []deadRef, refused []Refusal, err error) {
	var keys []string
	at := map[string]int{}
	for _, d := range all {
		if _, ok := at[d.org]; !ok {
			at[d.org] = len(keys)
			keys = append(keys, q.names.Webhook(d.org))
		}
	}
	if len(keys) == 0 {
		return nil, nil, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	hashes := q.store.ReadHashes(ctx, keys...)
	for _, h := range hashes {
		if h.Err != nil {
			return nil, nil, managementError(h.Err)
		}
		if len(h.Fields) == 0 && !h.Initialized {
			return nil, nil, store.ErrNotInitialized
		}
	}
	var inactive []deadRef // found by organization: their ids are not known yet
	for _, d := range all {
		switch {
		case hashes[at[d.org]].Fields[store.WebhookActive] == "1":
			active = append(active, d)
		case d.id != "":
			refused = append(refused, Refusal{ID: d.id, OrgID: d.org, Reason: RefusedInactive})
		default:
			inactive = append(inactive, d)
		}
	}
	for len(inactive) > 0 {
		ids, err := q.eventIDs(ctx, inactive[:min(len(inactive), maxReplayBatch)])
		if err != nil {
			return nil, nil, managementError(err)
		}
		for i, id := range ids {
			if id := str(id); id != "" {
				refused = append(refused, Refusal{ID: id, OrgID: inactive[i].org, Reason: RefusedInactive})
			}
		}
		inactive = inactive[len(ids):]
	}
	return active, refused, nil
}

// eventIDs reads the ids of the first of the dead letters: as many as one short step may, at least
// one. An id is empty where there is no such dead letter.
func (q *Queue) eventIDs(ctx context.Context, refs []deadRef) ([]any, error) {
	args := make([]any, 0, 1+len(refs))
	args = append(args, maxDeadBytes)
	for _, d := range refs {
		args = append(args, d.entry)
	}
	r, err := q.run(ctx, deadLetterIDsScript, "", args...)
	return partialReply(r, err, len(refs))
}
