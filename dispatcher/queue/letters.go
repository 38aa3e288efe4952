package queue

// This file is about finding the dead events that a replay names, and telling those that it may not move.

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// letter is where one dead event stands. Its id is empty where it was found by its organization, whose index does not tell it.
type letter struct{ id, org, at string }

// idRange is where the dead events with one id stand in the index by id: those of one organization, or of all.
type idRange struct {
	id, low, high string
	count         *redis.IntCmd
	first, last   *redis.StringSliceCmd
	places        *redis.StringSliceCmd
}

// findByID finds the dead events with the given ids, through the index by id: maxReplay of them at most, the oldest of each id first.
// It returns how many there are beyond.
func (q *Queue) findByID(ctx context.Context, ids []string, org string) (found []letter, refused []Refusal, remaining int, err error) {
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
		r := &idRange{id: id, low: "[" + id + "/", high: "(" + id + "0"} // 0 comes after /
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
		first, last := lettersAt(r.first.Val()), lettersAt(r.last.Val())
		switch {
		case len(first) == 0 || len(last) == 0:
			refused = append(refused, Refusal{ID: r.id, OrgID: org, Reason: RefusedNotFound})
		case first[0].org != last[0].org: // the index is sorted by organization
			refused = append(refused, Refusal{ID: r.id, Reason: RefusedAmbiguous})
		case room == 0:
			remaining += n
		default:
			take := min(n, room)
			room, remaining = room-take, remaining+n-take
			r.places = pipe.ZRangeByLex(ctx, index, &redis.ZRangeBy{Min: r.low, Max: r.high, Count: int64(take)})
		}
	}
	if room == maxReplay {
		return nil, refused, 0, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, nil, 0, err
	}
	for _, r := range ranges {
		if r.places != nil {
			found = append(found, lettersAt(r.places.Val())...)
		}
	}
	return found, refused, remaining, nil
}

// lettersAt reads places in the index by id.
func lettersAt(places []string) (letters []letter) {
	for _, p := range places {
		if part := strings.Split(p, "/"); len(part) == 3 {
			letters = append(letters, letter{part[0], part[1], part[2]})
		}
	}
	return letters
}

// findByOrg finds an organization's dead events, or everybody's, oldest first within each organization, beyond the cursor. What died
// after the first call, which the cursor remembers, is left out: it may have been replayed by it.
func (q *Queue) findByOrg(ctx context.Context, r Replay) (found []letter, next string, remaining int, err error) {
	ctx, cancel := bounded(ctx)
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
func (q *Queue) split(ctx context.Context, all []letter) (active []letter, refused []Refusal, err error) {
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
	ctx, cancel := bounded(ctx)
	defer cancel()
	hashes := q.store.ReadHashes(ctx, keys...)
	for _, h := range hashes {
		if h.Err != nil {
			return nil, nil, storeError(h.Err)
		}
		if len(h.Fields) == 0 && !h.Marked {
			return nil, nil, store.ErrNotInitialized
		}
	}
	var idle []letter
	for _, l := range all {
		switch {
		case hashes[at[l.org]].Fields[store.WebhookActive] == "1":
			active = append(active, l)
		case l.id != "":
			refused = append(refused, Refusal{ID: l.id, OrgID: l.org, Reason: RefusedInactive})
		default:
			idle = append(idle, l)
		}
	}
	for len(idle) > 0 {
		ids, err := q.nameOf(ctx, idle[:min(len(idle), replayLimit)])
		if err != nil {
			return nil, nil, storeError(err)
		}
		for i, id := range ids {
			if id := str(id); id != "" {
				refused = append(refused, Refusal{ID: id, OrgID: idle[i].org, Reason: RefusedInactive})
			}
		}
		idle = idle[len(ids):]
	}
	return active, refused, nil
}

// nameOf reads the ids of as many of the first letters as one short step may, one at least; empty where there is no such event.
func (q *Queue) nameOf(ctx context.Context, letters []letter) ([]any, error) {
	args := make([]any, 0, 1+len(letters))
	args = append(args, deadBytes)
	for _, l := range letters {
		args = append(args, l.at)
	}
	r, err := q.run(ctx, deadLetterIDsScript, "", args...)
	return some(r, err, len(letters))
}
