// Package usage counts admitted requests in memory and writes the counts to Redis about every
// second.
//
// # Invariants
//
//  1. A request is counted by exactly one successful add to a counter that is not retired. Retiring
//     is one compare-and-swap, so an add either comes before it and is part of the total that is
//     flushed last, or it sees that the counter is retired and counts on the counter's successor.
//  2. Counters are absolute and only grow. A flush carries totals, not differences, so sending a
//     total twice, or again after Redis lost its last second, is correct both times.
//  3. A field in Redis belongs to one counter. The successor of a retired counter writes to a field
//     of its own (another incarnation), because the field of the first may already be removed, and
//     with it the knowledge of how much of it was counted.
//  4. Counters do not live in the key cache, so eviction loses nothing. A counter lives until its
//     key was idle for idleAfter and its total is in Redis.
package usage

import (
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// retired is the bit of a counter's state that says that the counter takes no more uses.
const retired = 1 << 63

// Counter counts the use of one key. It fills two cache lines of its own, so that keys do not slow
// each other down.
type Counter struct {
	id    string       // of the key
	field string       // in the key's usage hash
	last  atomic.Int64 // the latest use, in Unix milliseconds
	state atomic.Uint64
	final atomic.Uint64 // the total when it was retired; adds that came too late show in state only

	// Flushes take turns (Counters.flushing). Only they write the fields below; acked may be read
	// by anybody.
	acked   atomic.Uint64 // the total that Redis has confirmed
	ackedAt int64         // when Redis last confirmed it, in Unix seconds; 0: never
	sweptAt int64         // when fields of silent processes were last removed, in Unix seconds
	changed time.Duration // when a flush last found a new total, since Counters.started
	round   uint64        // the round of resends in which it was last sent

	_ [128 - 96]byte
}

// add counts one use at a moment of the wall clock. It returns false if the counter is retired and
// nothing was counted.
func (c *Counter) add(wall int64) bool {
	// The moment is stored before the count, so that a flush that sees the count sees the moment.
	ms := wall / int64(time.Millisecond)
	for last := c.last.Load(); ms > last && !c.last.CompareAndSwap(last, ms); last = c.last.Load() {
	}
	return c.state.Add(1)&retired == 0
}

// total returns how many uses were counted.
func (c *Counter) total() uint64 {
	if s := c.state.Load(); s&retired == 0 {
		return s
	}
	return c.final.Load()
}

// Counters are the counters of a process. They are safe for concurrent use.
type Counters struct {
	sink    Sink
	logger  *slog.Logger
	onFlush func(ok bool)
	process string // a random name of this process, for this run
	started time.Time

	mu          sync.Mutex
	live        map[string]*Counter // by key id; no other counter takes uses
	incarnation uint64              // how many counters were retired

	resend   atomic.Bool // Redis may have lost what it had: send everything again
	flushing sync.Mutex  // held during a flush, and taken before mu; guards the fields below
	round    uint64      // how many times everything was sent again
	resentAt time.Duration
	removing []*Counter // retired counters, all in Redis, whose fields must be removed
	problem  string     // the log message of the last flush; empty if it succeeded
}

// New returns counters that are written to the usage hashes of st. After each flush that had
// something to send, onFlush is called with its result.
func New(st *store.Store, logger *slog.Logger, onFlush func(ok bool)) *Counters {
	u := NewOver(&redisSink{store: st}, logger, onFlush)
	onDial(st.Client(), u.ResendAll)
	return u
}

// NewOver is New over any Sink.
func NewOver(sink Sink, logger *slog.Logger, onFlush func(ok bool)) *Counters {
	return &Counters{
		sink: sink, logger: logger, onFlush: onFlush,
		process: newProcess(), started: time.Now(), live: map[string]*Counter{},
	}
}

// Counter returns the counter of the key with this id.
func (u *Counters) Counter(id string) *Counter {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.live[id]
	if c == nil {
		c = &Counter{id: id, field: fieldName(u.process, u.incarnation), changed: time.Since(u.started)}
		u.live[id] = c
	}
	return c
}

// Add counts one use of the key of c at a moment of the wall clock, in Unix nanoseconds. If c is
// retired, its successor counts.
func (u *Counters) Add(c *Counter, wall int64) {
	for !c.add(wall) {
		c = u.Counter(c.id)
	}
}

// ResendAll makes the next flush send every total again. It is called when Redis may have lost some
// of them, such as after a new connection: Redis may have been restarted.
func (u *Counters) ResendAll() { u.resend.Store(true) }

// Pending returns how many uses Redis has not confirmed.
func (u *Counters) Pending() (n uint64) {
	for _, c := range u.all() {
		n += c.pending()
	}
	return n
}

func (c *Counter) pending() uint64 { return c.total() - min(c.acked.Load(), c.total()) }

// retire takes c out of use, provided that its total is still the given one. If the key is used
// again, c's successor counts in another field.
func (u *Counters) retire(c *Counter, total uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.state.Load()&retired != 0 {
		return false
	}
	c.final.Store(total) // before the bit that makes total return it
	if !c.state.CompareAndSwap(total, total|retired) {
		return false
	}
	delete(u.live, c.id)
	u.incarnation++
	return true
}

// retireNow retires c whatever its total is, and returns the total.
func (u *Counters) retireNow(c *Counter) uint64 {
	for {
		if t := c.total(); u.retire(c, t) {
			return t
		}
	}
}

// all returns a copy of the list of live counters.
func (u *Counters) all() []*Counter {
	u.mu.Lock()
	defer u.mu.Unlock()
	cs := make([]*Counter, 0, len(u.live))
	for _, c := range u.live {
		cs = append(cs, c)
	}
	return cs
}

// fieldName returns the private field of a usage hash in which an incarnation of a process keeps
// its total.
func fieldName(process string, incarnation uint64) string {
	f := fieldPrefix + process
	if incarnation > 0 {
		f += "." + strconv.FormatUint(incarnation, 10)
	}
	return f
}
