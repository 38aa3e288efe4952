package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// health knows how the dispatcher fares, and says so once for each change, never more often than its limiter allows. What it writes
// names organizations and hosts, never URLs, secrets or payloads.
type health struct {
	logger *slog.Logger
	limit  *rate.Limiter

	mu         sync.Mutex
	contacted  bool // a Redis with its marker has answered
	stopping   bool
	storeErr   string // empty: Redis answers
	unmarked   bool
	logFull    bool // the delivery log loses entries
	logFullAt  time.Time
	troubleAt  time.Time // when a waiting step was last logged
	suppressed int
	skips      map[string]time.Time // when an organization's skipped events were last logged
}

func newHealth(logger *slog.Logger) *health {
	return &health{logger: logger, limit: rate.NewLimiter(5, 30), skips: map[string]time.Time{}}
}

// say writes a line, or counts it where there are too many.
func (h *health) say(level slog.Level, msg string, args ...any) {
	h.mu.Lock()
	if !h.limit.Allow() {
		h.suppressed++
		h.mu.Unlock()
		return
	}
	if h.suppressed > 0 {
		args = append(args, "suppressed", h.suppressed)
		h.suppressed = 0
	}
	h.mu.Unlock()
	h.logger.Log(context.Background(), level, msg, args...)
}

// store notes how a heartbeat went.
func (h *health) store(err error, marked bool) {
	if errors.Is(err, queue.ErrNotInitialized) {
		err, marked = nil, false
	}
	h.mu.Lock()
	was, wasUnmarked := h.storeErr, h.unmarked
	if err != nil {
		h.storeErr = err.Error()
	} else {
		h.storeErr, h.unmarked = "", !marked
		h.contacted = h.contacted || marked
	}
	is, isUnmarked := h.storeErr, h.unmarked
	h.mu.Unlock()
	switch {
	case was == "" && is != "":
		h.logger.Warn("redis gives no answer; deliveries wait", "error", is)
	case was != "" && is == "":
		h.logger.Info("redis answers again")
	}
	switch {
	case !wasUnmarked && isUnmarked:
		h.logger.Error("redis holds no tenzo data: the schema marker is missing; deliveries wait until it is back, or until `tenzo-gateway init` marks a new, empty store")
	case wasUnmarked && !isUnmarked:
		h.logger.Info("the schema marker is there; delivering")
	}
}

// trouble notes that a step waits for Redis. That is news once a minute at most, and none while the heartbeat has said that Redis gives
// no answer: in an outage every step waits.
func (h *health) trouble(err error) {
	h.mu.Lock()
	news := h.storeErr == "" && time.Since(h.troubleAt) > time.Minute
	if news {
		h.troubleAt = time.Now()
	}
	h.mu.Unlock()
	if news {
		h.say(slog.LevelWarn, "a step of the dispatcher waits for redis", "error", err)
	}
}

func (h *health) takenOver() {
	h.say(slog.LevelWarn, "this dispatcher's work was taken over by others, or redis lost it; starting afresh")
}

func (h *health) tookOver(moved, given int) {
	h.say(slog.LevelWarn, "took over the work of a dead dispatcher", "events", moved, "given_up", given)
}

func (h *health) strays(n int) {
	h.say(slog.LevelInfo, "found events whose answer was lost on the way; they are due again", "events", n)
}

// unlogged notes that the delivery log lost entries; a minute without that makes it news again.
func (h *health) unlogged(err error) {
	h.mu.Lock()
	news := !h.logFull || time.Since(h.logFullAt) > time.Minute
	h.logFull, h.logFullAt = true, time.Now()
	h.mu.Unlock()
	if news {
		h.logger.Warn("the delivery log loses entries; deliveries go on", "error", err)
	}
}

// endpoint notes a change in an endpoint's standing.
func (h *health) endpoint(change standing, j *job, why string) {
	switch change {
	case failing:
		h.say(slog.LevelWarn, "an endpoint keeps failing", "org_id", j.OrgID, "error", why)
	case recovered:
		h.say(slog.LevelInfo, "an endpoint has recovered", "org_id", j.OrgID)
	case unchanged:
	}
}

func (h *health) dead(j *job, reason string) {
	h.say(slog.LevelWarn, "gave an event up", "org_id", j.OrgID, "id", j.ID, "event", j.Event, "reason", reason, "error", j.LastError)
}

// skipped logs an organization's skipped events once a minute.
func (h *health) skipped(j *job) {
	h.mu.Lock()
	now := time.Now()
	quiet := now.Sub(h.skips[j.OrgID]) < time.Minute
	if !quiet {
		if len(h.skips) > 10_000 {
			clear(h.skips)
		}
		h.skips[j.OrgID] = now
	}
	h.mu.Unlock()
	if !quiet {
		h.say(slog.LevelInfo, "skipping events: the organization has no active webhook", "org_id", j.OrgID, "id", j.ID)
	}
}

func (h *health) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
}

func (h *health) ready() Ready {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Ready{OK: h.contacted && !h.stopping}
	problem := func(part, why string) {
		if r.Problems == nil {
			r.Problems = map[string]string{}
		}
		r.Problems[part] = why
	}
	if h.stopping {
		problem("dispatcher", "shutting down")
	}
	if h.storeErr != "" {
		problem("redis", "no answer: "+h.storeErr)
	} else if h.unmarked {
		problem("redis", "the schema marker is missing")
	} else if !h.contacted {
		problem("redis", "not reached yet")
	}
	if h.logFull && time.Since(h.logFullAt) < time.Minute {
		problem("delivery_log", "entries are lost: redis takes no writes")
	}
	return r
}
