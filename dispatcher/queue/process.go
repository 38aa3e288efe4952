package queue

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// LeaseTime is how long a process that cannot renew its lease keeps what it holds. Together with
// the interval at which the others look (package dispatcher) it gives the bound of
// specification.md, section 6: the work is recovered within 15 s of the holder's death.
const LeaseTime = 6 * time.Second

// maxCrashes is how many holders of an event may die in a row before the event becomes a dead
// letter (specification.md, section 6).
const maxCrashes = 10

// maxReplyBytes is the payload at which a dequeueing step stops: a step that reads more keeps Redis
// busy for too long.
const maxReplyBytes = 4 << 20

// maxStepEvents is how many events one script moves at most. It bounds how long Redis serves nobody
// else.
const maxStepEvents = 256

// Process is a dispatcher process in Redis, the holder of what it dequeues. Its methods may be
// called from several goroutines.
type Process struct {
	q    *Queue
	name string
}

// NewProcess returns a process under a name that was never used. It holds nothing until it is
// registered.
func (q *Queue) NewProcess() *Process {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (package crypto/rand)
	return &Process{q: q, name: hex.EncodeToString(b[:])}
}

// Name returns the name of the process in Redis.
func (p *Process) Name() string { return p.name }

// Lease is what renewing the lease returns.
type Lease struct {
	Events      int      // how many events this process holds, says Redis
	Initialized bool     // whether the schema marker is there
	Expired     []string // other registered processes whose lease has expired
}

// Register registers the process and takes its lease.
func (p *Process) Register(ctx context.Context) (Lease, error) { return p.renew(ctx, "1") }

// Renew renews the lease. ErrFenced: another process recovered the work.
func (p *Process) Renew(ctx context.Context) (Lease, error) { return p.renew(ctx, "") }

func (p *Process) renew(ctx context.Context, register string) (Lease, error) {
	r, err := p.q.run(ctx, renewScript, p.name, LeaseTime.Milliseconds(), register)
	m, err := decodeReply(r, err, 3)
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

// Leased lists the entries that Redis says this process holds.
func (p *Process) Leased(ctx context.Context) ([]string, error) {
	r, err := p.q.run(ctx, leasedScript, p.name)
	m, err := decodeReply(r, err, 1)
	if err != nil {
		return nil, err
	}
	return strs(m[0]), nil
}

// Requeue makes held events due at once, with no attempt counted.
func (p *Process) Requeue(ctx context.Context, entries []string) error {
	for len(entries) > 0 {
		n := min(len(entries), maxStepEvents)
		args := make([]any, n)
		for i, e := range entries[:n] {
			args[i] = e
		}
		r, err := p.q.run(ctx, requeueScript, p.name, args...)
		if _, err = decodeReply(r, err, 1); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// Release requeues all that the process holds, and unregisters it.
func (p *Process) Release(ctx context.Context) error {
	for {
		r, err := p.q.run(ctx, releaseScript, p.name, 500)
		m, err := decodeReply(r, err, 2)
		if err != nil {
			return err
		}
		if str(m[1]) != "1" {
			return nil
		}
	}
}

// Recover makes due at once what a dead process held. It does nothing where that process has a
// lease. It returns how many events moved, and the names of those that became dead letters because
// too many of their holders had died.
func (p *Process) Recover(ctx context.Context, deadProcess string) (moved int, crashed []string, err error) {
	for {
		r, err := p.q.run(ctx, recoverScript, p.name, deadProcess, 500, maxCrashes)
		m, err := decodeReply(r, err, 3)
		if err != nil {
			return moved, crashed, err
		}
		moved += int(num(m[0]))
		crashed = append(crashed, strs(m[2])...)
		if str(m[1]) != "1" {
			return moved, crashed, nil
		}
	}
}

// WaitForEvents waits until the stream has an entry beyond cursor, for about a second at most.
func (p *Process) WaitForEvents(ctx context.Context, cursor string) error {
	ctx, cancel := context.WithTimeout(ctx, 2500*time.Millisecond)
	defer cancel()
	_, err := p.q.store.BlockingClient().XRead(ctx, &redis.XReadArgs{
		Streams: []string{p.q.names.Events(), cursor}, Count: 1, Block: time.Second,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// ParkedOrgs lists n organizations that have parked events, from position start on.
func (p *Process) ParkedOrgs(ctx context.Context, start, n int) ([]string, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return p.q.store.Client().ZRange(ctx, p.q.names.ParkedOrgs(), int64(start), int64(start+n-1)).Result()
}
