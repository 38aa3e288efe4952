package queue

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Reasons for which a dispatcher gives an event up, beside those of package payload (specification.md, section 7). Two more only the scripts know:
// invalid_event, where a stream field is missing or ill-formed (lua/lib.lua), and crashed (lua/recover.lua).
const (
	ReasonRetriesExhausted = "retries_exhausted"
	ReasonBlocked          = "blocked"
)

// pageBytes is the payload at which a page of dead events ends early: payloads may be large.
const pageBytes = 8 << 20

// deadBytes is the payload at which a script that goes through dead events stops, whatever else it was to do: the Redis that it keeps
// busy authenticates requests.
const deadBytes = 1 << 20

// DeadLetter is an event given up.
type DeadLetter struct {
	ID          string // the Webhook-Id
	Event       string
	OrgID       string
	Payload     []byte // as published
	PublishedAt time.Time
	Reason      string
	Attempts    int       // requests made
	LastStatus  int       // 0: no answer came, or no request was made
	LastError   string    // in words; empty where the last attempt got an answer
	FirstSeenAt time.Time // when a dispatcher first took it
	DeadAt      time.Time // when it was given up
}

// DeadLetters returns up to limit dead events of org (empty: of all), newest first, from cursor on (empty: the first page). A page of
// one organization reads no other's events. One whose payloads are large may hold fewer than limit although more follow.
func (q *Queue) DeadLetters(ctx context.Context, org string, limit int, cursor string) (config.Page[DeadLetter], error) {
	limit, from, err := page(limit, cursor)
	if err != nil {
		return config.Page[DeadLetter]{}, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	next := q.deadOfAll
	if org != "" {
		next = func(ctx context.Context, from string, n int) ([]redis.XMessage, string, error) {
			return q.deadOfOrg(ctx, org, from, n)
		}
	}
	var p config.Page[DeadLetter]
	bytes := 0
	for {
		some, last, err := next(ctx, from, min(32, limit+1-len(p.Items)))
		if err != nil {
			return config.Page[DeadLetter]{}, storeError(err)
		}
		for _, m := range some {
			if len(p.Items) == limit || len(p.Items) > 0 && bytes >= pageBytes {
				p.NextCursor = cursor
				return p, nil
			}
			d := deadLetter(m)
			bytes += len(d.Payload)
			p.Items = append(p.Items, d)
			cursor = m.ID
		}
		if last == "" {
			return p, nil
		}
		from = "(" + last
	}
}

// deadOfAll reads n dead events, newest first. last is where to go on, empty at the end.
func (q *Queue) deadOfAll(ctx context.Context, from string, n int) (some []redis.XMessage, last string, err error) {
	some, err = q.store.Client().XRevRangeN(ctx, q.names.Dead(), from, "-", int64(n)).Result()
	if err == nil && len(some) == n {
		last = some[n-1].ID
	}
	return some, last, err
}

// deadOfOrg reads n places of the organization's index, newest first, and the dead events there; places whose event is gone are skipped.
func (q *Queue) deadOfOrg(ctx context.Context, org, from string, n int) (some []redis.XMessage, last string, err error) {
	high := "(" + org + "0" // '0' follows '/'
	if from != "+" {
		high = "(" + orgPlace(org, strings.TrimPrefix(from, "("))
	}
	places, err := q.store.Client().ZRevRangeByLex(ctx, q.names.DeadByOrg(), &redis.ZRangeBy{
		Min: "[" + org + "/", Max: high, Count: int64(n),
	}).Result()
	if err != nil || len(places) == 0 {
		return nil, "", err
	}
	pipe := q.store.Client().Pipeline()
	cmds := make([]*redis.XMessageSliceCmd, len(places))
	for i, place := range places {
		_, id := splitPlace(place)
		cmds[i] = pipe.XRange(ctx, q.names.Dead(), id, id)
		last = id
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, "", err
	}
	for _, c := range cmds {
		some = append(some, c.Val()...)
	}
	if len(places) < n {
		last = ""
	}
	return some, last, nil
}

// orgPlace is a dead event's place in the index by organization, as places of lua/lib.lua makes it.
func orgPlace(org, id string) string {
	ms, seq, _ := strings.Cut(id, "-")
	return fmt.Sprintf("%s/%013s-%020s", org, ms, seq)
}

// splitPlace is the reverse of orgPlace.
func splitPlace(place string) (org, id string) {
	org, padded, _ := strings.Cut(place, "/")
	ms, seq, _ := strings.Cut(padded, "-")
	trim := func(s string) string {
		if s = strings.TrimLeft(s, "0"); s == "" {
			return "0"
		}
		return s
	}
	return org, trim(ms) + "-" + trim(seq)
}

func deadLetter(m redis.XMessage) DeadLetter {
	f := m.Values
	d := DeadLetter{
		ID: str(f[store.EventID]), Event: str(f[store.EventName]), OrgID: str(f[store.EventOrgID]), Payload: []byte(str(f[store.EventPayload])),
		Reason: str(f[store.DeadReason]), Attempts: int(num(f[store.DeadAttempts])), LastStatus: int(num(f[store.DeadLastStatus])),
		LastError: str(f[store.DeadLastError]),
	}
	d.PublishedAt, _ = time.Parse(time.RFC3339Nano, str(f[store.DeadPublishedAt]))
	d.FirstSeenAt, _ = time.Parse(time.RFC3339Nano, str(f[store.DeadFirstSeenAt]))
	at, _, _ := strings.Cut(m.ID, "-")
	d.DeadAt = time.UnixMilli(num(at)).UTC()
	return d
}
