package dispatcher

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/schedule"
)

// event is one event in memory. Its fields belong to one goroutine at a time: the fetcher, then its
// worker, then the committer.
type event struct {
	queue.LeasedEvent
	body []byte         // the public payload, once projected
	slot schedule.Event // what the scheduler knows of it
}

func newEvent(leased queue.LeasedEvent) *event {
	ev := &event{LeasedEvent: leased}
	ev.slot = schedule.Event{Entry: leased.Entry, OrgID: leased.OrgID, Size: int64(len(leased.Payload)), Value: ev}
	return ev
}

// eventsOf returns the events behind what a schedule.Scheduler returned.
func eventsOf(slots []*schedule.Event) []*event {
	events := make([]*event, len(slots))
	for i, slot := range slots {
		events[i] = slot.Value.(*event)
	}
	return events
}

// scheduler is a schedule.Scheduler with the clock and with what changes along with it: the gauge
// of events in memory, and the fetcher's wake-up when there is room again.
type scheduler struct {
	*schedule.Scheduler
	inFlight prometheus.Gauge
	signals  *signals
}

func newScheduler(o Options, m *Metrics, s *signals) *scheduler {
	return &scheduler{
		Scheduler: schedule.New(schedule.Limits{
			Events: o.MaxInFlight, Bytes: o.MaxInFlightBytes, Concurrency: o.EndpointConcurrency,
		}),
		inFlight: m.inFlight, signals: s,
	}
}

func (s *scheduler) admit(ev *event) (a schedule.Admission, known *schedule.Event) {
	a, known = s.Admit(&ev.slot, time.Now())
	if a != schedule.Duplicate {
		s.inFlight.Inc()
	}
	return a, known
}

func (s *scheduler) parked(orgs ...string) { s.Parked(orgs, time.Now()) }

// attemptStarted notes that an attempt begins, since time alone may make its endpoint unhealthy.
func (s *scheduler) attemptStarted(ev *event, host string) {
	s.AttemptStarted(&ev.slot, host, time.Now())
}

func (s *scheduler) attemptEnded(ev *event, r schedule.Result) (schedule.HealthChange, []*event) {
	change, evicted := s.AttemptEnded(&ev.slot, r, time.Now())
	return change, eventsOf(evicted)
}

// releaseSlot frees the slot of ev and returns the events that start now instead.
func (s *scheduler) releaseSlot(ev *event) []*event {
	starting := eventsOf(s.ReleaseSlot(&ev.slot))
	s.signals.wake()
	return starting
}

// sweep judges all endpoints and returns what may not wait in memory any more.
func (s *scheduler) sweep() []*event { return eventsOf(s.Sweep(time.Now())) }

// drain takes what waits in memory from the endpoints.
func (s *scheduler) drain() []*event { return eventsOf(s.Drain()) }

func (s *scheduler) forget(ev *event) {
	s.Forget(&ev.slot)
	s.inFlight.Dec()
	s.signals.wake()
}
