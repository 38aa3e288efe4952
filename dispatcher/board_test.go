package dispatcher

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// game drives a board with random operations, as the session and the endpoints would, and checks its invariants after each. It keeps
// books of its own: where each event is.
type game struct {
	t   *testing.T
	r   *rand.Rand
	b   *board
	was ledger // before the operation

	next     int
	running  []*job
	waiting  []*job
	out      []*job // on their way out
	parking  map[*job]bool
	parked   map[string][]queue.LeasedEvent // as Redis has them
	finished int
	orgs     int
	most     int // the largest payload
	closed   bool
}

func newGame(t *testing.T, seed uint64) *game {
	r := rand.New(rand.NewPCG(seed, 0))
	o := Options{MaxInFlight: 2 + r.IntN(200), EndpointConcurrency: 1 + r.IntN(32)}
	most := 1000
	o.MaxInFlightBytes = int64(most * (1 + r.IntN(60)))
	return &game{t: t, r: r, b: newBoard(o), parking: map[*job]bool{}, parked: map[string][]queue.LeasedEvent{}, most: most, orgs: 1 + r.IntN(30)}
}

func (g *game) host(org string) string { return "host" + string(org[len(org)-1]) }

// take has a new event come, as Redis would give it: to its organization's parked ones, where there are any.
func (g *game) take() {
	n, bytes := g.b.room()
	if n < 1 || bytes < int64(g.most) {
		return
	}
	g.next++
	size := g.r.IntN(20)
	if g.r.IntN(3) == 0 {
		size = g.r.IntN(g.most)
	}
	e := queue.LeasedEvent{Entry: fmt.Sprint(g.next), OrgID: fmt.Sprint("org", g.r.IntN(g.orgs)), Payload: make([]byte, size)}
	if len(g.parked[e.OrgID]) > 0 {
		g.parked[e.OrgID] = append(g.parked[e.OrgID], e)
		g.b.parkedIn([]string{e.OrgID})
		return
	}
	g.admit(e)
}

func (g *game) admit(taken queue.LeasedEvent) {
	g.was = g.b.ledger
	before, class := 0, asUnproven
	if e := g.b.endpoints[taken.OrgID]; e != nil {
		before, class = e.places(), e.class()
	}
	small := int64(len(taken.Payload)) <= g.b.maxBytes/int64(2*g.b.max)
	j := &job{LeasedEvent: taken}
	v, known := g.b.admit(j)
	if known != nil {
		g.t.Fatalf("%s stands in memory twice", taken.Entry)
	}
	switch v {
	case start:
		g.running = append(g.running, j)
	case wait:
		g.waiting = append(g.waiting, j)
	default:
		g.park(j)
	}
	if g.closed {
		if v != wait {
			g.t.Fatalf("a closed board says %v", v)
		}
		return
	}
	if class == asProven && before == 0 && small && v != start {
		g.t.Fatalf("the first event of an endpoint in good standing finds no place: %+v", g.was)
	}
	if v == park {
		return
	}
	g.allowed(class, before, small)
}

// allowed checks the shares after a place was given.
func (g *game) allowed(c class, before int, small bool) {
	all, doubtful := g.b.all(), g.b.doubtful()
	limit := func(name string, s, was share, part float64) {
		if s.places > max(int(float64(g.b.max)*part), 1) {
			g.t.Fatalf("%s have %d places of %d", name, s.places, g.b.max)
		}
		if was.bytes > 0 && float64(s.bytes) > float64(g.b.maxBytes)*part && (before > 0 || !small) {
			g.t.Fatalf("%s have %d bytes of %d", name, s.bytes, g.b.maxBytes)
		}
	}
	switch {
	case c == asSuspect:
		limit("suspects", g.b.held[asSuspect], g.was.held[asSuspect], 3./8)
		limit("the doubtful", doubtful, g.was.doubtful(), 1./2)
	case c == asUnproven:
		limit("the doubtful", doubtful, g.was.doubtful(), 1./2)
	case before >= smallEndpoint:
		limit("the proven", g.b.held[asProven], g.was.held[asProven], 1./2)
		limit("all", all, g.was.all(), 5./8)
	case before > 0:
		limit("all", all, g.was.all(), 3./4)
	}
}

func (g *game) park(jobs ...*job) {
	for _, j := range jobs {
		if i := slices.Index(g.waiting, j); i >= 0 {
			g.waiting = slices.Delete(g.waiting, i, i+1)
		}
		g.parking[j] = true
		g.out = append(g.out, j)
	}
}

func (g *game) unpark() {
	n, bytes := g.b.room()
	if n < 1 || bytes < int64(g.most) {
		return
	}
	for _, r := range g.b.unparkable(1+g.r.IntN(8), n) {
		list := g.parked[r.org]
		for r.n > 0 && len(list) > 0 && bytes >= int64(g.most) {
			bytes -= int64(len(list[0].Payload))
			g.admit(list[0])
			list = list[1:]
			r.n--
		}
		g.parked[r.org] = list
		g.b.unparked(r.org, len(list))
	}
}

func (g *game) begin() {
	if len(g.running) == 0 {
		return
	}
	if j := g.running[g.r.IntN(len(g.running))]; j.started.IsZero() {
		g.b.begin(j, g.host(j.OrgID))
	}
}

// end ends an attempt, and what it was made for, unless it is tried again at once.
func (g *game) end(well bool) {
	if len(g.running) == 0 {
		return
	}
	i := g.r.IntN(len(g.running))
	j := g.running[i]
	if j.started.IsZero() {
		g.b.begin(j, g.host(j.OrgID))
	}
	acknowledged := well || g.r.IntN(3) > 0
	_, evicted := g.b.end(j, acknowledged, !acknowledged && g.r.IntN(3) == 0)
	g.park(evicted...)
	if !acknowledged && g.r.IntN(3) == 0 {
		return // again at once
	}
	g.running = slices.Delete(g.running, i, i+1)
	g.out = append(g.out, j)
	for _, next := range g.b.leave(j) {
		at := slices.Index(g.waiting, next)
		if at < 0 {
			g.t.Fatal("something starts that did not wait")
		}
		g.waiting = slices.Delete(g.waiting, at, at+1)
		g.running = append(g.running, next)
	}
}

// commit has a step of what is on its way out be made.
func (g *game) commit() {
	if len(g.out) == 0 {
		return
	}
	i := g.r.IntN(len(g.out))
	j := g.out[i]
	g.out = slices.Delete(g.out, i, i+1)
	g.b.drop(j)
	if !g.parking[j] {
		g.finished++
		return
	}
	delete(g.parking, j)
	g.parked[j.OrgID] = append(g.parked[j.OrgID], j.LeasedEvent)
	g.b.parkedIn([]string{j.OrgID})
}

func (g *game) sweep() {
	g.park(g.b.sweep()...)
	for org, list := range g.parked {
		e := g.b.endpoints[org]
		if len(list) == 0 || g.closed {
			continue
		}
		if _, ready := g.b.ready[org]; !ready && g.b.fits(e.class(), e.places(), e.large) && e.places() == 0 {
			g.t.Fatalf("%s has parked events and a place, and nobody calls it", org)
		}
	}
}

func (g *game) check() {
	b := g.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(g.running) + len(g.waiting) + len(g.out); n != len(b.jobs) || n > b.max || b.bytes > b.maxBytes {
		g.t.Fatalf("%d events with %d bytes in memory, of %d with %d; %d are known of", len(b.jobs), b.bytes, b.max, b.maxBytes, n)
	}
	var bytes int64
	for _, j := range b.jobs {
		bytes += j.size
	}
	if bytes != b.bytes {
		g.t.Fatalf("%d bytes are counted, %d are there", b.bytes, bytes)
	}
	var held [classes]share
	running, waiting := 0, 0
	for org, e := range b.endpoints {
		s := share{places: e.places(), waiting: len(e.waiting)}
		for _, j := range slices.Concat(e.running, e.waiting) {
			s.bytes += j.size
			if b.jobs[j.Entry] != j {
				g.t.Fatalf("%s has what is not held", org)
			}
		}
		held[e.class()] = held[e.class()].plus(s)
		running, waiting = running+len(e.running), waiting+len(e.waiting)
		switch {
		case b.closed:
		case len(e.waiting) > 0 && len(e.running) == 0:
			g.t.Fatalf("%d events of %s wait for nothing", len(e.waiting), org)
		case e.suspect && len(e.waiting) > 0, !e.proven && len(e.waiting) > queuePerSlot:
			g.t.Fatalf("%d events wait for %s, which is in no good standing", len(e.waiting), org)
		}
	}
	if held != b.held || running != len(g.running) || waiting != len(g.waiting) {
		g.t.Fatalf("the ledger says %+v, it is %+v; %d run of %d, %d wait of %d",
			b.held, held, running, len(g.running), waiting, len(g.waiting))
	}
}

func (g *game) left() (parked int) {
	for _, list := range g.parked {
		parked += len(list)
	}
	return parked
}

// Whatever comes, and however it ends, the board's invariants hold; and in the end everything comes to its turn.
func TestBoard(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			g := newGame(t, seed)
			defer func() {
				if t.Failed() {
					t.Logf("seed %d, max %d, %d bytes, concurrency %d", seed, g.b.max, g.b.maxBytes, g.b.concurrency)
				}
			}()
			ops := []struct {
				weight int
				do     func()
			}{
				{30, g.take},
				{10, g.unpark},
				{15, g.begin},
				{14, func() { g.end(false) }},
				{20, g.commit},
				{3, g.sweep},
				{4, func() { time.Sleep(time.Duration(g.r.IntN(800)) * time.Millisecond) }},
			}
			total := 0
			for _, o := range ops {
				total += o.weight
			}
			for range 1500 {
				pick := g.r.IntN(total)
				for _, o := range ops {
					if pick -= o.weight; pick < 0 {
						o.do()
						break
					}
				}
				g.check()
			}
			if seed%3 == 0 {
				g.shutDown()
				return
			}
			for round := 0; g.finished < g.next; round++ {
				if round == 2000 {
					t.Fatalf("%d events run, %d wait, %d are parked, and nothing happens", len(g.running), len(g.waiting), g.left())
				}
				time.Sleep(250 * time.Millisecond)
				g.sweep()
				g.check()
				for range 20 {
					g.unpark()
					g.check()
					for len(g.running) > 0 {
						g.end(true)
						g.check()
					}
					for len(g.out) > 0 {
						g.commit()
						g.check()
					}
				}
			}
		})
	}
}

// shutDown closes the board: nothing starts any more, and all that waits is handed over, what comes meanwhile too.
func (g *game) shutDown() {
	g.b.close()
	g.closed = true
	for range 5 {
		g.take()
		g.end(false)
		g.commit()
		g.sweep()
		g.check()
	}
	given := g.b.takeWaiting()
	if len(given) != len(g.waiting) {
		g.t.Fatalf("%d of %d are handed over", len(given), len(g.waiting))
	}
	for _, j := range given {
		g.b.drop(j)
	}
	g.waiting = nil
	g.check()
	for len(g.running) > 0 {
		g.end(true)
	}
	for len(g.out) > 0 {
		g.commit()
	}
	g.check()
	if g.b.size() != 0 || g.b.all() != (share{}) {
		g.t.Fatalf("%d events are left, and %+v", g.b.size(), g.b.held)
	}
}
