package keyauth

import (
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// This file counts admitted requests in memory; flush.go brings the counts to Redis.
//
// Invariants (5. of the package):
//
//   - A request is counted by exactly one successful add to a counter that is not retired. Retiring is one compare-and-swap, so an add either
//     comes before it and is in the total that is flushed last, or sees that it came too late and counts on the counter's successor.
//   - Counters are absolute and only grow. What a flush carries is a total, not a difference: sending it twice, or again after Redis lost the
//     last second, is right both times.
//   - A field in Redis belongs to one counter. The successor of a retired one writes to a field of its own (another incarnation), because
//     the first may already be gone, and with it the knowledge of what of it was counted.
//   - Counters are not in the LRU: eviction loses nothing. They live until their key was idle for long (idleAfter) and all is in Redis.

// retired is the bit of a counter's state that says that it counts no more.
const retired = 1 << 63

// counter counts the use of one key. It fills two cache lines of its own, so that keys do not slow each other down.
type counter struct {
	id    string       // of the key
	field string       // in the key's usage hash
	last  atomic.Int64 // the latest use, in Unix milliseconds
	state atomic.Uint64
	final atomic.Uint64 // the total at which it was retired; an add that came too late stands in state, but not here

	// Those who flush take turns (usage.flushing); only they touch the rest, though anybody may read acked.
	acked   atomic.Uint64 // the total that Redis is known to have had
	ackedAt int64         // when it last said so, in Unix seconds; 0: never
	sweptAt int64         // when the fields of silent processes were last folded away with it, in Unix seconds
	changed time.Duration // when a flush last found a new total, since the start of usage
	round   uint64        // the round of resends in which it was last sent

	_ [128 - 96]byte
}

// add counts one use at a moment of the wall clock. It reports false where the counter is retired and nothing was counted.
func (c *counter) add(wall int64) bool {
	// The moment goes first, so that whoever sees the count sees it too.
	ms := wall / int64(time.Millisecond)
	for last := c.last.Load(); ms > last && !c.last.CompareAndSwap(last, ms); last = c.last.Load() {
	}
	return c.state.Add(1)&retired == 0
}

// total is how many uses were counted.
func (c *counter) total() uint64 {
	if s := c.state.Load(); s&retired == 0 {
		return s
	}
	return c.final.Load()
}

// usage is all counters of a process.
type usage struct {
	counts  counts
	logger  *slog.Logger
	metrics *Metrics
	process string // a random name of this process, for this run
	started time.Time

	mu          sync.Mutex
	live        map[string]*counter // by key id; no other counter takes counts
	incarnation uint64              // counts the rounds of retiring

	resend   atomic.Bool // Redis may have lost what it had: send everything again
	flushing sync.Mutex  // held by whoever flushes, and taken before mu; guards the fields below
	round    uint64      // counts the resends
	resentAt time.Duration
	folding  []*counter // retired counters all of which is in Redis, whose fields are to be removed
	trouble  string     // what was said of the last flush; empty where it went well
}

func newUsage(c counts, logger *slog.Logger, m *Metrics) *usage {
	return &usage{counts: c, logger: logger, metrics: m, process: newProcess(), started: time.Now(), live: map[string]*counter{}}
}

// suspect says that Redis may have lost what it had, as after a new connection: it may have been restarted.
func (u *usage) suspect() { u.resend.Store(true) }

// counter returns the counter of a key, a new one where there is none.
func (u *usage) counter(id string) *counter {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.live[id]
	if c == nil {
		c = &counter{id: id, field: usageField(u.process, u.incarnation), changed: time.Since(u.started)}
		u.live[id] = c
	}
	return c
}

// count counts one use of the key of e.
func (u *usage) count(e *entry, wall int64) {
	for c := e.counter; !c.add(wall); {
		c = u.counter(e.KeyID)
	}
}

// retire takes the counter out, so that no use is added to it any more, where its total is the given one. Its successor, if the key is used
// again, writes to another field.
func (u *usage) retire(c *counter, total uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.state.Load()&retired != 0 {
		return false
	}
	c.final.Store(total) // before the bit that makes it count
	if !c.state.CompareAndSwap(total, total|retired) {
		return false
	}
	delete(u.live, c.id)
	u.incarnation++
	return true
}

// all copies out the live counters.
func (u *usage) all() []*counter {
	u.mu.Lock()
	defer u.mu.Unlock()
	cs := make([]*counter, 0, len(u.live))
	for _, c := range u.live {
		cs = append(cs, c)
	}
	return cs
}

// pending is how many counts Redis is not known to have.
func (u *usage) pending() (n uint64) {
	for _, c := range u.all() {
		n += c.total() - min(c.acked.Load(), c.total())
	}
	return n
}

// usageField is the private field of a usage hash in which an incarnation of a process keeps its total.
func usageField(process string, incarnation uint64) string {
	f := usageFieldPrefix + process
	if incarnation > 0 {
		f += "." + strconv.FormatUint(incarnation, 10)
	}
	return f
}
