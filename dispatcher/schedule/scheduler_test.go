package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// model drives a scheduler with random operations, as the dispatcher and the endpoints would, and
// checks its invariants after each. It records on its own where each event is.
type model struct {
	t    *testing.T
	seed uint64
	r    *rand.Rand
	s    *Scheduler
	now  time.Time
	was  quota // before the operation

	published int
	running   []*Event
	waiting   []*Event
	out       []*Event // on their way out
	parking   map[*Event]bool
	parked    map[string][]*Event // as Redis has them
	finished  int
	orgs      int
	largest   int // payload
	closed    bool
}

func newModel(t *testing.T, seed uint64) *model {
	r := rand.New(rand.NewPCG(seed, 0))
	l := Limits{Events: 2 + r.IntN(200), Concurrency: 1 + r.IntN(32)}
	largest := 1000
	l.Bytes = int64(largest * (1 + r.IntN(60)))
	return &model{
		t: t, seed: seed, r: r, s: New(l), now: time.Now(), parking: map[*Event]bool{}, parked: map[string][]*Event{},
		largest: largest, orgs: 1 + r.IntN(30),
	}
}

func hostOf(org string) string { return "host" + org[len(org)-1:] }

// dequeue has a new event arrive as Redis would give it: to its organization's parked ones, if
// there are any.
func (m *model) dequeue() {
	n, bytes := m.s.Room()
	if n < 1 || bytes < int64(m.largest) {
		return
	}
	m.published++
	size := m.r.IntN(20)
	if m.r.IntN(3) == 0 {
		size = m.r.IntN(m.largest)
	}
	e := &Event{Entry: fmt.Sprint(m.published), OrgID: fmt.Sprint("org", m.r.IntN(m.orgs)), Size: int64(size)}
	if len(m.parked[e.OrgID]) > 0 {
		m.parked[e.OrgID] = append(m.parked[e.OrgID], e)
		m.s.Parked([]string{e.OrgID}, m.now)
		return
	}
	m.admit(e)
}

func (m *model) admit(e *Event) {
	m.was = m.s.quota
	before, as := 0, tierUnknown
	if p := m.s.endpoints[e.OrgID]; p != nil {
		before, as = p.inMemory(), p.tier()
	}
	small := e.Size <= m.s.maxBytes/int64(2*m.s.max)
	a, known := m.s.Admit(e, m.now)
	if known != nil {
		m.t.Fatalf("%s is in memory twice", e.Entry)
	}
	switch a {
	case Start:
		m.running = append(m.running, e)
	case Queue:
		m.waiting = append(m.waiting, e)
	default:
		m.park(e)
	}
	if m.closed {
		if a != Queue {
			m.t.Fatalf("a closed scheduler decides %v", a)
		}
		return
	}
	if as == tierHealthy && before == 0 && small && a != Start {
		m.t.Fatalf("the first event of a healthy endpoint finds no place: %+v", m.was)
	}
	if a != Park {
		m.checkShares(as, before, small)
	}
}

// checkShares checks the shares of quota after a place was given.
func (m *model) checkShares(as tier, before int, small bool) {
	all, notHealthy := m.s.all(), m.s.notHealthy()
	limit := func(name string, u, was usage, part float64) {
		if u.events > max(int(float64(m.s.max)*part), 1) {
			m.t.Fatalf("%s have %d events of %d", name, u.events, m.s.max)
		}
		if was.bytes > 0 && float64(u.bytes) > float64(m.s.maxBytes)*part && (before > 0 || !small) {
			m.t.Fatalf("%s have %d bytes of %d", name, u.bytes, m.s.maxBytes)
		}
	}
	switch {
	case as == tierUnhealthy:
		limit("unhealthy endpoints", m.s.used[tierUnhealthy], m.was.used[tierUnhealthy], 3./8)
		limit("endpoints that are not healthy", notHealthy, m.was.notHealthy(), 1./2)
	case as == tierUnknown:
		limit("endpoints that are not healthy", notHealthy, m.was.notHealthy(), 1./2)
	case before >= smallEndpoint:
		limit("healthy endpoints", m.s.used[tierHealthy], m.was.used[tierHealthy], 1./2)
		limit("all endpoints", all, m.was.all(), 5./8)
	case before > 0:
		limit("all endpoints", all, m.was.all(), 3./4)
	}
}

func (m *model) park(events ...*Event) {
	for _, e := range events {
		if i := slices.Index(m.waiting, e); i >= 0 {
			m.waiting = slices.Delete(m.waiting, i, i+1)
		}
		m.parking[e] = true
		m.out = append(m.out, e)
	}
}

func (m *model) unpark() {
	n, bytes := m.s.Room()
	if n < 1 || bytes < int64(m.largest) {
		return
	}
	for _, g := range m.s.Unparkable(1+m.r.IntN(8), n) {
		list := m.parked[g.OrgID]
		for g.Events > 0 && len(list) > 0 && bytes >= int64(m.largest) {
			bytes -= list[0].Size
			m.admit(&Event{Entry: list[0].Entry, OrgID: g.OrgID, Size: list[0].Size})
			list = list[1:]
			g.Events--
		}
		m.parked[g.OrgID] = list
		m.s.Unparked(g.OrgID, len(list))
	}
}

func (m *model) startAttempt() {
	if len(m.running) == 0 {
		return
	}
	if e := m.running[m.r.IntN(len(m.running))]; e.started.IsZero() {
		m.s.AttemptStarted(e, hostOf(e.OrgID), m.now)
	}
}

// endAttempt ends an attempt, and the turn of its event unless it is retried at once.
func (m *model) endAttempt(acknowledged bool) {
	if len(m.running) == 0 {
		return
	}
	i := m.r.IntN(len(m.running))
	e := m.running[i]
	if e.started.IsZero() {
		m.s.AttemptStarted(e, hostOf(e.OrgID), m.now)
	}
	acknowledged = acknowledged || m.r.IntN(3) > 0
	r := Result{Acknowledged: acknowledged, ConnectFailed: !acknowledged && m.r.IntN(3) == 0}
	_, evicted := m.s.AttemptEnded(e, r, m.now)
	m.park(evicted...)
	if !acknowledged && m.r.IntN(3) == 0 {
		return // retried at once
	}
	m.running = slices.Delete(m.running, i, i+1)
	m.out = append(m.out, e)
	for _, next := range m.s.ReleaseSlot(e) {
		at := slices.Index(m.waiting, next)
		if at < 0 {
			m.t.Fatal("an event starts that did not wait")
		}
		m.waiting = slices.Delete(m.waiting, at, at+1)
		m.running = append(m.running, next)
	}
}

// commit has the last step of an event on its way out be made.
func (m *model) commit() {
	if len(m.out) == 0 {
		return
	}
	i := m.r.IntN(len(m.out))
	e := m.out[i]
	m.out = slices.Delete(m.out, i, i+1)
	m.s.Forget(e)
	if !m.parking[e] {
		m.finished++
		return
	}
	delete(m.parking, e)
	m.parked[e.OrgID] = append(m.parked[e.OrgID], e)
	m.s.Parked([]string{e.OrgID}, m.now)
}

func (m *model) sweep() {
	m.park(m.s.Sweep(m.now)...)
	for org, list := range m.parked {
		p := m.s.endpoints[org]
		if len(list) == 0 || m.closed {
			continue
		}
		if _, ready := m.s.unparkReady[org]; !ready && m.s.allows(p.tier(), p.inMemory(), p.largest) && p.inMemory() == 0 {
			m.t.Fatalf("%s has parked events and room, and they would never be fetched", org)
		}
	}
}

func (m *model) check() {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(m.running) + len(m.waiting) + len(m.out); n != len(s.events) || n > s.max || s.bytes > s.maxBytes {
		m.t.Fatalf("%d events with %d bytes in memory, limits %d and %d; the model has %d",
			len(s.events), s.bytes, s.max, s.maxBytes, n)
	}
	var bytes int64
	for _, e := range s.events {
		bytes += e.Size
	}
	if bytes != s.bytes {
		m.t.Fatalf("%d bytes are counted, %d are in memory", s.bytes, bytes)
	}
	var used [tiers]usage
	running, waiting := 0, 0
	for org, p := range s.endpoints {
		u := usage{events: p.inMemory(), waiting: len(p.waiting)}
		for _, e := range slices.Concat(p.running, p.waiting) {
			u.bytes += e.Size
			if s.events[e.Entry] != e {
				m.t.Fatalf("%s has an event that is not in memory", org)
			}
		}
		used[p.tier()] = used[p.tier()].plus(u)
		running, waiting = running+len(p.running), waiting+len(p.waiting)
		switch {
		case s.closed:
		case len(p.waiting) > 0 && len(p.running) == 0:
			m.t.Fatalf("%d events of %s wait for nothing", len(p.waiting), org)
		case p.unhealthy && len(p.waiting) > 0, !p.healthy && len(p.waiting) > queuePerSlot:
			m.t.Fatalf("%d events wait for %s, which is not healthy", len(p.waiting), org)
		}
	}
	if used != s.used || running != len(m.running) || waiting != len(m.waiting) {
		m.t.Fatalf("the quota counts %+v, in memory are %+v; %d run, want %d; %d wait, want %d",
			s.used, used, running, len(m.running), waiting, len(m.waiting))
	}
}

func (m *model) parkedEvents() (n int) {
	for _, list := range m.parked {
		n += len(list)
	}
	return n
}

// Whatever arrives, and however it ends, the scheduler's invariants hold; and in the end every
// event has had its turn.
func TestInvariants(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		m := newModel(t, seed)
		m.play(seed%3 == 0)
		if t.Failed() {
			return
		}
	}
}

func (m *model) play(shutDown bool) {
	defer func() {
		if m.t.Failed() {
			m.t.Logf("seed %d: %d events, %d bytes, concurrency %d at most", m.seed, m.s.max, m.s.maxBytes, m.s.concurrency)
		}
	}()
	operations := []struct {
		weight int
		do     func()
	}{
		{30, m.dequeue},
		{10, m.unpark},
		{15, m.startAttempt},
		{14, func() { m.endAttempt(false) }},
		{20, m.commit},
		{3, m.sweep},
		{4, func() { m.now = m.now.Add(time.Duration(m.r.IntN(800)) * time.Millisecond) }},
	}
	total := 0
	for _, o := range operations {
		total += o.weight
	}
	for range 1500 {
		pick := m.r.IntN(total)
		for _, o := range operations {
			if pick -= o.weight; pick < 0 {
				o.do()
				break
			}
		}
		m.check()
	}
	if shutDown {
		m.shutDown()
		return
	}
	for round := 0; m.finished < m.published; round++ {
		if round == 2000 {
			m.t.Fatalf("%d events run, %d wait, %d are parked, and nothing happens", len(m.running), len(m.waiting), m.parkedEvents())
		}
		m.now = m.now.Add(250 * time.Millisecond)
		m.sweep()
		m.check()
		for range 20 {
			m.unpark()
			m.check()
			for len(m.running) > 0 {
				m.endAttempt(true)
				m.check()
			}
			for len(m.out) > 0 {
				m.commit()
				m.check()
			}
		}
	}
}

// shutDown closes the scheduler: nothing starts any more, and all that waits is drained, what
// arrives meanwhile included.
func (m *model) shutDown() {
	m.s.Close()
	m.closed = true
	for range 5 {
		m.dequeue()
		m.endAttempt(false)
		m.commit()
		m.sweep()
		m.check()
	}
	drained := m.s.Drain()
	if len(drained) != len(m.waiting) {
		m.t.Fatalf("%d of %d waiting events are drained", len(drained), len(m.waiting))
	}
	for _, e := range drained {
		m.s.Forget(e)
	}
	m.waiting = nil
	m.check()
	for len(m.running) > 0 {
		m.endAttempt(true)
	}
	for len(m.out) > 0 {
		m.commit()
	}
	m.check()
	if m.s.Len() != 0 || m.s.all() != (usage{}) {
		m.t.Fatalf("%d events are left, and %+v", m.s.Len(), m.s.used)
	}
}

// An event that arrives after the scheduler was closed does not start; Drain returns it.
func TestClosedSchedulerStartsNothing(t *testing.T) {
	s := New(Limits{Events: 10, Bytes: 1000, Concurrency: 2})
	s.Close()
	e := &Event{Entry: "1-0", OrgID: "a"}
	if a, _ := s.Admit(e, time.Now()); a != Queue {
		t.Errorf("admission %v", a)
	}
	if got := s.Drain(); len(got) != 1 || got[0] != e {
		t.Errorf("drained %v", got)
	}
}

// An entry that is in memory already is left alone.
func TestDuplicateEntry(t *testing.T) {
	s := New(Limits{Events: 10, Bytes: 1000, Concurrency: 2})
	first, second := &Event{Entry: "1-0", OrgID: "a", Size: 7}, &Event{Entry: "1-0", OrgID: "a", Size: 7}
	if a, known := s.Admit(first, time.Now()); a != Start || known != nil {
		t.Errorf("admission %v, %v", a, known)
	}
	if a, known := s.Admit(second, time.Now()); a != Duplicate || known != first {
		t.Errorf("admission %v, %v", a, known)
	}
	s.Forget(second) // is not the one in memory
	if _, bytes := s.Room(); s.Find("1-0") != first || s.Len() != 1 || bytes != 993 {
		t.Errorf("%d events, room for %d bytes", s.Len(), bytes)
	}
}
