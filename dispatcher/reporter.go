package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/schedule"
)

// reporter knows the state of the dispatcher: what /readyz says of it, and which changes are worth
// a log line. It writes one line a change, and no more than its limiter allows. Its lines name
// organizations and hosts, never URLs, secrets or payloads.
type reporter struct {
	logger *slog.Logger
	limit  *rate.Limiter

	mu            sync.Mutex
	contacted     bool // a Redis with its schema marker has replied
	stopping      bool
	redisError    string // empty if Redis replies
	uninitialized bool
	logLossAt     time.Time // when the delivery log last lost entries
	stepFailedAt  time.Time // when a failed step was last logged
	suppressed    int
	dead, skips   *digest
}

func newReporter(logger *slog.Logger) *reporter {
	return &reporter{
		logger: logger, limit: rate.NewLimiter(5, 30),
		dead:  newDigest(slog.LevelWarn, "event moved to dead letters", "events moved to dead letters"),
		skips: newDigest(slog.LevelInfo, "event skipped: no active webhook", "events skipped: no active webhook"),
	}
}

// log writes a line, or counts it if there are too many.
func (r *reporter) log(level slog.Level, msg string, args ...any) {
	r.mu.Lock()
	if !r.limit.Allow() {
		r.suppressed++
		r.mu.Unlock()
		return
	}
	if r.suppressed > 0 {
		args = append(args, "suppressed", r.suppressed)
		r.suppressed = 0
	}
	r.mu.Unlock()
	r.logger.Log(context.Background(), level, msg, args...)
}

// redis notes how a registration or renewal went.
func (r *reporter) redis(err error, initialized bool) {
	if errors.Is(err, queue.ErrNotInitialized) {
		err, initialized = nil, false
	}
	r.mu.Lock()
	was, wasUninitialized := r.redisError, r.uninitialized
	if err != nil {
		r.redisError = store.Problem(err)
	} else {
		r.redisError, r.uninitialized = "", !initialized
		r.contacted = r.contacted || initialized
	}
	is, isUninitialized := r.redisError, r.uninitialized
	r.mu.Unlock()
	switch {
	case was == "" && is != "":
		r.logger.Warn("redis unreachable; deliveries paused", "error", is)
	case was != "" && is == "":
		r.logger.Info("redis reachable again")
	}
	switch {
	case !wasUninitialized && isUninitialized:
		r.logger.Error("redis holds no tenzo data: the schema marker is missing; deliveries paused until it is back, or until `tenzo-gateway init` marks a new, empty store")
	case wasUninitialized && !isUninitialized:
		r.logger.Info("the schema marker is present; delivering")
	}
}

// stepFailed notes that a step waits for Redis. It is logged once a minute at most, and not while
// the heartbeat reports that Redis is unreachable: in an outage every step waits.
func (r *reporter) stepFailed(err error) {
	r.mu.Lock()
	news := r.redisError == "" && time.Since(r.stepFailedAt) > time.Minute
	if news {
		r.stepFailedAt = time.Now()
	}
	r.mu.Unlock()
	if news {
		r.log(slog.LevelWarn, "a step of the dispatcher failed in redis and is repeated", "error", err)
	}
}

func (r *reporter) fenced() {
	r.log(slog.LevelWarn, "this dispatcher's lease was lost: others recovered its work, or redis lost it; registering again")
}

func (r *reporter) recovered(moved, dead int) {
	r.log(slog.LevelWarn, "recovered the work of a dead dispatcher", "events", moved, "dead_letters", dead)
}

func (r *reporter) requeued(n int) {
	r.log(slog.LevelInfo, "requeued events whose dequeue reply was lost", "events", n)
}

// deliveryLog notes whether the delivery log lost entries: nil means that it did not. After a
// minute without a loss the next one is logged again.
func (r *reporter) deliveryLog(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	news := time.Since(r.logLossAt) > time.Minute
	r.logLossAt = time.Now()
	r.mu.Unlock()
	if news {
		r.logger.Warn("the delivery log loses entries; deliveries go on", "error", err)
	}
}

// endpoint notes a change in an endpoint's health.
func (r *reporter) endpoint(change schedule.HealthChange, org, why string) {
	switch change {
	case schedule.Failing:
		r.log(slog.LevelWarn, "an endpoint keeps failing", "org_id", org, "error", why)
	case schedule.Recovered:
		r.log(slog.LevelInfo, "an endpoint has recovered", "org_id", org)
	case schedule.Unchanged:
	}
}

// deadLettered notes an event that was moved to the dead letters.
func (r *reporter) deadLettered(ev *event, reason string) {
	r.digested(r.dead, ev.OrgID, "id", ev.ID, "event", ev.Event, "reason", reason, "error", ev.LastError)
}

// skipped notes an event that was skipped.
func (r *reporter) skipped(ev *event) {
	r.digested(r.skips, ev.OrgID, "id", ev.ID, "event", ev.Event)
}

// digested counts an event, and logs it if its organization had no line in the last minute.
func (r *reporter) digested(d *digest, org string, fields ...any) {
	r.mu.Lock()
	d.add(org, fields...)
	l, due := d.take(org, time.Now(), r.limit.Allow)
	r.mu.Unlock()
	if due {
		r.write(l)
	}
}

// logDue logs what was counted, where its minute is over.
func (r *reporter) logDue() {
	r.mu.Lock()
	now := time.Now()
	lines := append(r.dead.due(now, r.limit.Allow), r.skips.due(now, r.limit.Allow)...)
	r.mu.Unlock()
	for _, l := range lines {
		r.write(l)
	}
}

// logRest logs what was counted and is not logged yet, before the dispatcher ends.
func (r *reporter) logRest() {
	for _, d := range []*digest{r.dead, r.skips} {
		r.mu.Lock()
		l, found := d.rest()
		r.mu.Unlock()
		if found {
			r.write(l)
		}
	}
}

func (r *reporter) write(l line) { r.logger.Log(context.Background(), l.level, l.msg, l.fields...) }

// stop notes that the dispatcher shuts down.
func (r *reporter) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
}

func (r *reporter) ready() Ready {
	r.mu.Lock()
	defer r.mu.Unlock()
	ready := Ready{OK: r.contacted && !r.stopping}
	problem := func(component, why string) {
		if ready.Problems == nil {
			ready.Problems = map[string]string{}
		}
		ready.Problems[component] = why
	}
	if r.stopping {
		problem("dispatcher", "shutting down")
	}
	switch {
	case r.redisError != "":
		problem("redis", r.redisError)
	case r.uninitialized:
		problem("redis", "the schema marker is missing")
	case !r.contacted:
		problem("redis", "not reached yet")
	}
	if time.Since(r.logLossAt) < time.Minute {
		problem("delivery_log", "entries are lost: redis takes no writes")
	}
	return ready
}
