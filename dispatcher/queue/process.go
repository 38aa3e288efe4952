package queue

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// LeaseTime is for how long a process that cannot renew its lease keeps what it holds. Together with how often the others look
// (package dispatcher) it makes the bound of specification.md, section 6: taken over within 15 s of the holder's death.
const LeaseTime = 6 * time.Second

// maxCrashes is how often running an event's holders may die before it is given up (specification.md, section 6).
const maxCrashes = 10

// replyBytes is the payload at which a taking step stops: one that reads more keeps Redis busy for too long.
const replyBytes = 4 << 20

// stepLimit is how many events one script moves at most; it bounds for how long Redis serves nobody else.
const stepLimit = 256

// Process is a dispatcher process in Redis: who holds what it took. Its methods may be called from several goroutines.
type Process struct {
	q    *Queue
	name string
}

// NewProcess returns a process under a name that was never used. It holds nothing until it has registered.
func (q *Queue) NewProcess() *Process {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (package crypto/rand)
	return &Process{q: q, name: hex.EncodeToString(b[:])}
}

// Name is the process's name in Redis.
func (p *Process) Name() string { return p.name }

// Lease is what a renewal tells.
type Lease struct {
	Events      int      // events that Redis says are this process's
	Initialized bool     // whether the schema marker is there
	Expired     []string // other registered processes without a lease
}

// Register makes the process known and takes its lease.
func (p *Process) Register(ctx context.Context) (Lease, error) { return p.renew(ctx, "1") }

// Renew keeps the lease. ErrFenced: the work was taken over.
func (p *Process) Renew(ctx context.Context) (Lease, error) { return p.renew(ctx, "") }

func (p *Process) renew(ctx context.Context, register string) (Lease, error) {
	r, err := p.q.run(ctx, renewScript, p.name, LeaseTime.Milliseconds(), register)
	m, err := state(r, err, 3)
	if err != nil {
		return Lease{}, err
	}
	l := Lease{Events: int(num(m[0])), Initialized: str(m[1]) == "1", Expired: strs(m[2])}
	if p.q.store.Cluster() {
		err := p.q.store.Initialized(ctx)
		l.Initialized = err == nil
	}
	return l, nil
}

// LeasedEvent is an event that a process holds.
type LeasedEvent struct {
	Entry       string // its stream id
	Event       string
	OrgID       string
	ID          string // the Webhook-Id
	Explicit    bool   // whether the producer gave ID, so that it is deduplicated
	Payload     []byte // nil where Size is above the limit
	Size        int    // bytes of the payload as published
	PublishedAt time.Time
	FirstSeen   time.Time
	Attempts    int // failed ones recorded so far
	LastStatus  int
	LastError   string
}

// RejectedEvent is an event that was finished without having been held.
type RejectedEvent struct {
	Event string
	Dead  bool // else it was a duplicate
}

// outcomes reads what scripts return of them.
func outcomes(v any) (all []RejectedEvent) {
	for _, d := range list(v) {
		if o := strs(d); len(o) == 2 {
			all = append(all, RejectedEvent{Event: o[1], Dead: o[0] == "dead"})
		}
	}
	return all
}

// Batch is what a taking step brought.
type Batch struct {
	Events    []LeasedEvent
	Parked    []string // organizations of which events were parked right away
	Rejected  []RejectedEvent
	Cursor    string        // Take: where the stream was read to
	AtEnd     bool          // Take: there was no more
	NextDue   time.Duration // Due: until the next retry is due; negative where there is none
	Remaining []int         // Unpark: how many each organization has left
}

// Take reads new events: n at most, and no more than budget bytes of payload.
func (p *Process) Dequeue(ctx context.Context, n int, budget int64) (Batch, error) {
	r, err := p.q.run(ctx, dequeueScript, p.name, min(n, stepLimit), budget, p.q.options.MaxPayload, replyBytes)
	m, err := state(r, err, 5)
	if err != nil {
		return Batch{}, err
	}
	b := Batch{Events: p.q.taken(m[0]), Parked: strs(m[1]), Cursor: str(m[3]), AtEnd: str(m[4]) == "1"}
	b.Rejected = outcomes(m[2])
	return b, nil
}

// Due takes events whose retry is due.
func (p *Process) DequeueDue(ctx context.Context, n int, budget int64) (Batch, error) {
	r, err := p.q.run(ctx, dequeueDueScript, p.name, min(n, stepLimit), min(budget, replyBytes+int64(p.q.options.MaxPayload)), p.q.options.MaxPayload)
	m, err := state(r, err, 3)
	if err != nil {
		return Batch{}, err
	}
	return Batch{Events: p.q.taken(m[0]), Parked: strs(m[1]), NextDue: time.Duration(num(m[2])) * time.Millisecond}, nil
}

// Capacity is how many parked events of an organization there is room for.
type Capacity struct {
	OrgID string
	N     int
}

// Unpark takes parked events of organizations whose endpoint has room, oldest first.
func (p *Process) Unpark(ctx context.Context, rooms []Capacity, budget int64) (Batch, error) {
	args := []any{min(budget, replyBytes+int64(p.q.options.MaxPayload)), p.q.options.MaxPayload}
	for _, r := range rooms {
		args = append(args, r.OrgID, r.N)
	}
	r, err := p.q.run(ctx, unparkScript, p.name, args...)
	m, err := state(r, err, 2)
	if err != nil {
		return Batch{}, err
	}
	b := Batch{Events: p.q.taken(m[0])}
	for _, l := range list(m[1]) {
		b.Remaining = append(b.Remaining, int(num(l)))
	}
	return b, nil
}

// taken reads what view of lua/lib.lua returns.
func (q *Queue) taken(v any) []LeasedEvent {
	l := list(v)
	out := make([]LeasedEvent, 0, len(l))
	for _, e := range l {
		f := strs(e)
		if len(f) != 6 && len(f) != 11 {
			continue
		}
		t := LeasedEvent{Entry: f[0], Event: f[1], OrgID: f[2], ID: f[3], Explicit: f[3] != "", Size: len(f[4]), FirstSeen: time.UnixMilli(integer(f[5]))}
		if !t.Explicit {
			t.ID = t.Entry
		}
		published := ""
		if len(f) == 11 {
			published = f[7]
			t.Attempts, t.LastStatus, t.LastError = int(integer(f[8])), int(integer(f[9])), f[10]
		}
		if len(f) == 11 && f[6] != "" {
			t.Size = int(integer(f[6]))
		} else {
			t.Payload = []byte(f[4])
		}
		if published == "" {
			at, _, _ := strings.Cut(t.Entry, "-")
			t.PublishedAt = time.UnixMilli(integer(at)).UTC()
		} else {
			t.PublishedAt, _ = time.Parse(time.RFC3339Nano, published) // a hand-written replay may say anything: then zero
		}
		out = append(out, t)
	}
	return out
}

// Held lists the entries that Redis says this process holds.
func (p *Process) Leased(ctx context.Context) ([]string, error) {
	r, err := p.q.run(ctx, leasedScript, p.name)
	m, err := state(r, err, 1)
	if err != nil {
		return nil, err
	}
	return strs(m[0]), nil
}

// Give makes held events due at once, nothing charged.
func (p *Process) Requeue(ctx context.Context, entries []string) error {
	for len(entries) > 0 {
		n := min(len(entries), stepLimit)
		args := make([]any, n)
		for i, e := range entries[:n] {
			args[i] = e
		}
		r, err := p.q.run(ctx, requeueScript, p.name, args...)
		if _, err = state(r, err, 1); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// Release hands over all that the process holds, and unregisters it.
func (p *Process) Release(ctx context.Context) error {
	for {
		r, err := p.q.run(ctx, releaseScript, p.name, 500)
		m, err := state(r, err, 2)
		if err != nil {
			return err
		}
		if str(m[1]) != "1" {
			return nil
		}
	}
}

// Recover makes what a dead process held due at once. It does nothing where that process has a lease. It returns how many events
// moved, and the names of those that were given up because too many of their holders died.
func (p *Process) Recover(ctx context.Context, victim string) (moved int, givenUp []string, err error) {
	for {
		r, err := p.q.run(ctx, recoverScript, p.name, victim, 500, maxCrashes)
		m, err := state(r, err, 3)
		if err != nil {
			return moved, givenUp, err
		}
		moved += int(num(m[0]))
		givenUp = append(givenUp, strs(m[2])...)
		if str(m[1]) != "1" {
			return moved, givenUp, nil
		}
	}
}

// AuditResult is what an audit found.
type AuditResult struct {
	ForeignReads   int             // entries that others read in our group
	Rejected       []RejectedEvent // those of them that were finished at once
	GroupRecreated bool            // entries stood nowhere: the group was made anew
}

// Audit finds what only a stranger's hand can cause, and puts it right: entries that others read in our group, and entries that stand
// nowhere.
func (q *Queue) Audit(ctx context.Context) (AuditResult, error) {
	r, err := q.run(ctx, auditScript, "", 100)
	m, err := state(r, err, 3)
	if err != nil {
		return AuditResult{}, err
	}
	return AuditResult{ForeignReads: int(num(m[0])), GroupRecreated: str(m[1]) == "1", Rejected: outcomes(m[2])}, nil
}

// Listen waits until the stream holds an entry beyond cursor, at most for about a second.
func (p *Process) WaitForEvents(ctx context.Context, cursor string) error {
	ctx, cancel := context.WithTimeout(ctx, 2500*time.Millisecond)
	defer cancel()
	_, err := p.q.store.Blocking().XRead(ctx, &redis.XReadArgs{
		Streams: []string{p.q.names.Events(), cursor}, Count: 1, Block: time.Second,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// ParkedOrgs lists organizations that have parked events, from position start on.
func (p *Process) ParkedOrgs(ctx context.Context, start, n int) ([]string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return p.q.store.Client().ZRange(ctx, p.q.names.ParkedOrgs(), int64(start), int64(start+n-1)).Result()
}

func ms(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
