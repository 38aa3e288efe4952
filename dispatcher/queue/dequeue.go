package queue

import (
	"context"
	"strings"
	"time"
)

// LeasedEvent is an event that a process holds under its lease.
type LeasedEvent struct {
	Entry       string // its stream id
	Event       string
	OrgID       string
	ID          string // the Webhook-Id
	Explicit    bool   // whether the producer gave ID, so that the event is deduplicated
	Payload     []byte // nil where Size is above the limit
	Size        int    // bytes of the payload as published
	PublishedAt time.Time
	FirstSeen   time.Time
	Attempts    int // failed ones recorded so far
	LastStatus  int
	LastError   string
}

// RejectedEvent is an event that was finished without ever being held.
type RejectedEvent struct {
	Event string
	Dead  bool // it was ill-formed and is a dead letter; otherwise it was a duplicate
}

// Batch is what one dequeueing step returns.
type Batch struct {
	Events    []LeasedEvent
	Parked    []string        // organizations of which events were parked at once
	Rejected  []RejectedEvent // Dequeue: finished at once
	Cursor    string          // Dequeue: how far the stream was read
	AtEnd     bool            // Dequeue: the stream has no more
	NextDue   time.Duration   // DequeueDue: until the next retry is due; negative: none
	Remaining []int           // Unpark: how many events each organization still has parked
}

// Dequeue leases new events: at most n, with at most budget bytes of payload.
func (p *Process) Dequeue(ctx context.Context, n int, budget int64) (Batch, error) {
	r, err := p.q.run(ctx, dequeueScript, p.name,
		min(n, maxStepEvents), budget, p.q.options.MaxPayload, maxReplyBytes)
	m, err := decodeReply(r, err, 5)
	if err != nil {
		return Batch{}, err
	}
	return Batch{
		Events: parseEvents(m[0]), Parked: strs(m[1]), Rejected: parseRejected(m[2]),
		Cursor: str(m[3]), AtEnd: str(m[4]) == "1",
	}, nil
}

// DequeueDue leases events whose retry is due: at most n, with at most budget bytes of payload.
func (p *Process) DequeueDue(ctx context.Context, n int, budget int64) (Batch, error) {
	r, err := p.q.run(ctx, dequeueDueScript, p.name,
		min(n, maxStepEvents), p.q.budget(budget), p.q.options.MaxPayload)
	m, err := decodeReply(r, err, 3)
	if err != nil {
		return Batch{}, err
	}
	return Batch{
		Events: parseEvents(m[0]), Parked: strs(m[1]),
		NextDue: time.Duration(num(m[2])) * time.Millisecond,
	}, nil
}

// Capacity is how many parked events of an organization the caller has room for.
type Capacity struct {
	OrgID string
	N     int
}

// Unpark leases parked events of organizations whose endpoint has capacity, oldest first.
func (p *Process) Unpark(ctx context.Context, capacities []Capacity, budget int64) (Batch, error) {
	args := []any{p.q.budget(budget), p.q.options.MaxPayload}
	for _, c := range capacities {
		args = append(args, c.OrgID, c.N)
	}
	r, err := p.q.run(ctx, unparkScript, p.name, args...)
	m, err := decodeReply(r, err, 2)
	if err != nil {
		return Batch{}, err
	}
	b := Batch{Events: parseEvents(m[0])}
	for _, n := range list(m[1]) {
		b.Remaining = append(b.Remaining, int(num(n)))
	}
	return b, nil
}

// budget limits the budget of a step that reads entries one by one: it may begin another entry as
// long as one more payload fits.
func (q *Queue) budget(bytes int64) int64 {
	return min(bytes, maxReplyBytes+int64(q.options.MaxPayload))
}

// parseEvents decodes what `describe` of lua/lib.lua returns.
func parseEvents(v any) []LeasedEvent {
	l := list(v)
	events := make([]LeasedEvent, 0, len(l))
	for _, e := range l {
		f := strs(e)
		if len(f) != 6 && len(f) != 11 {
			continue
		}
		ev := LeasedEvent{
			Entry: f[0], Event: f[1], OrgID: f[2], ID: f[3], Explicit: f[3] != "", Size: len(f[4]),
			FirstSeen: time.UnixMilli(integer(f[5])),
		}
		if !ev.Explicit {
			ev.ID = ev.Entry
		}
		published := ""
		if len(f) == 11 {
			published = f[7]
			ev.Attempts, ev.LastStatus, ev.LastError = int(integer(f[8])), int(integer(f[9])), f[10]
		}
		if len(f) == 11 && f[6] != "" {
			ev.Size = int(integer(f[6]))
		} else {
			ev.Payload = []byte(f[4])
		}
		if published == "" {
			ms, _, _ := strings.Cut(ev.Entry, "-")
			ev.PublishedAt = time.UnixMilli(integer(ms)).UTC()
		} else {
			// A replay written by hand may have any text here; the time is then zero.
			ev.PublishedAt, _ = time.Parse(time.RFC3339Nano, published)
		}
		events = append(events, ev)
	}
	return events
}

// parseRejected decodes the list {outcome, event} that scripts return.
func parseRejected(v any) (events []RejectedEvent) {
	for _, d := range list(v) {
		if o := strs(d); len(o) == 2 {
			events = append(events, RejectedEvent{Event: o[1], Dead: o[0] == "dead"})
		}
	}
	return events
}
