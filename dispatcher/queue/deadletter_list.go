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

// Reasons for which a dispatcher moves an event to the dead letters, beside those of package
// payload (specification.md, section 7). Two more are known to the scripts only: invalid_event,
// where a stream field is missing or ill-formed (lua/lib.lua), and crashed (lua/recover.lua).
const (
	ReasonRetriesExhausted = "retries_exhausted"
	ReasonBlocked          = "blocked"
)

// maxPageBytes is the payload at which a page of dead letters ends early: payloads may be large.
const maxPageBytes = 8 << 20

// maxDeadBytes is the payload at which a script that reads dead letters stops, however many it was
// asked for: while it runs, Redis authenticates no request.
const maxDeadBytes = 1 << 20

// DeadLetter is an event that was moved to the dead letters.
type DeadLetter struct {
	ID          string // the Webhook-Id
	Event       string
	OrgID       string
	Payload     []byte // as published
	PublishedAt time.Time
	Reason      string
	Attempts    int       // requests made
	LastStatus  int       // 0: no response came, or no request was made
	LastError   string    // plain words; empty where the last attempt got a response
	FirstSeenAt time.Time // when a dispatcher first dequeued it
	DeadAt      time.Time // when it became a dead letter
}

// DeadLetters returns up to limit dead letters of org (empty: of all organizations), newest first,
// from cursor on (empty: the first page). A page of one organization reads no other's events. A
// page of large payloads may have fewer than limit although more follow.
func (q *Queue) DeadLetters(ctx context.Context, org string, limit int, cursor string) (config.Page[DeadLetter], error) {
	limit, from, err := parsePage(limit, cursor)
	if err != nil {
		return config.Page[DeadLetter]{}, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	read := q.readDead
	if org != "" {
		read = func(ctx context.Context, from string, n int) ([]redis.XMessage, string, error) {
			return q.readDeadOfOrg(ctx, org, from, n)
		}
	}
	var p config.Page[DeadLetter]
	bytes := 0
	for {
		entries, last, err := read(ctx, from, min(32, limit+1-len(p.Items)))
		if err != nil {
			return config.Page[DeadLetter]{}, managementError(err)
		}
		for _, m := range entries {
			if len(p.Items) == limit || len(p.Items) > 0 && bytes >= maxPageBytes {
				p.NextCursor = cursor
				return p, nil
			}
			d := parseDeadLetter(m)
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

// readDead reads n dead letters, newest first. last is where to continue, empty at the end.
func (q *Queue) readDead(ctx context.Context, from string, n int) (entries []redis.XMessage, last string, err error) {
	entries, err = q.store.Client().XRevRangeN(ctx, q.names.Dead(), from, "-", int64(n)).Result()
	if err == nil && len(entries) == n {
		last = entries[n-1].ID
	}
	return entries, last, err
}

// readDeadOfOrg reads n members of the index of an organization, newest first, and the dead letters
// that they name. A member without a dead letter is skipped. last is as for readDead.
func (q *Queue) readDeadOfOrg(ctx context.Context, org, from string, n int) (entries []redis.XMessage, last string, err error) {
	high := "(" + org + "0" // '0' follows '/'
	if from != "+" {
		high = "(" + orgIndexMember(org, strings.TrimPrefix(from, "("))
	}
	var members []string
	pipe := q.store.Client().Pipeline()
	var cmds []*redis.XMessageSliceCmd
	for {
		members, err = q.store.Client().ZRevRangeByLex(ctx, q.names.DeadByOrg(), &redis.ZRangeBy{
			Min: "[" + org + "/", Max: high, Count: int64(n),
		}).Result()
		if err != nil {
			return nil, "", err
		}
		for _, member := range members {
			if _, id, ok := parseOrgIndexMember(member); ok {
				cmds = append(cmds, pipe.XRange(ctx, q.names.Dead(), id, id))
				last = id
			}
		}
		if len(cmds) > 0 || len(members) < n {
			break
		}
		high = "(" + members[len(members)-1]
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, "", err
	}
	for _, c := range cmds {
		entries = append(entries, c.Val()...)
	}
	if len(members) < n {
		last = ""
	}
	return entries, last, nil
}

// orgIndexMember returns a dead entry's member of the index by organization, as index_keys of
// lua/lib.lua makes it.
func orgIndexMember(org, entry string) string {
	ms, seq, _ := strings.Cut(entry, "-")
	return fmt.Sprintf("%s/%013s-%020s", org, ms, seq)
}

// parseOrgIndexMember is the reverse of orgIndexMember. ok is false for a member that only a
// foreign client can have added.
func parseOrgIndexMember(member string) (org, entry string, ok bool) {
	org, padded, _ := strings.Cut(member, "/")
	ms, seq, _ := strings.Cut(padded, "-")
	trim := func(s string) string {
		if s = strings.TrimLeft(s, "0"); s == "" {
			return "0"
		}
		return s
	}
	entry = trim(ms) + "-" + trim(seq)
	return org, entry, validStreamID(entry) && orgIndexMember(org, entry) == member
}

func parseDeadLetter(m redis.XMessage) DeadLetter {
	f := m.Values
	d := DeadLetter{
		ID: str(f[store.EventID]), Event: str(f[store.EventName]), OrgID: str(f[store.EventOrgID]),
		Payload: []byte(str(f[store.EventPayload])), Reason: str(f[store.DeadReason]),
		Attempts: int(num(f[store.DeadAttempts])), LastStatus: int(num(f[store.DeadLastStatus])),
		LastError: str(f[store.DeadLastError]),
	}
	d.PublishedAt, _ = time.Parse(time.RFC3339Nano, str(f[store.DeadPublishedAt]))
	d.FirstSeenAt, _ = time.Parse(time.RFC3339Nano, str(f[store.DeadFirstSeenAt]))
	ms, _, _ := strings.Cut(m.ID, "-")
	d.DeadAt = time.UnixMilli(num(ms)).UTC()
	return d
}
