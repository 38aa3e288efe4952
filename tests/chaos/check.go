package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// recovery is how long after a fault requests may still be answered 503.
const recovery = 6 * time.Second

// checkBooks compares the books with what was published.
func (w *world) checkBooks() {
	b, err := w.books()
	if err != nil {
		w.history.violate("books", "", "cannot be read: %v", err)
		return
	}
	w.history.note("check", "books %+v", b)
	if b.Difference != 0 || b.Published+b.Replayed != b.Delivered+b.Skipped+b.Dead+b.Duplicate+b.Waiting {
		w.history.violate("books", "", "they do not balance: %+v", b)
	}
	if b.Skipped != 0 || b.Waiting != 0 {
		w.history.violate("books", "", "events were skipped, or still wait: %+v", b)
	}
	w.history.mu.Lock()
	var acked, maybe int64
	for _, e := range w.history.events {
		acked += int64(e.acked)
		maybe += int64(e.maybe)
	}
	w.history.mu.Unlock()
	if b.Published < acked || b.Published > acked+maybe {
		w.history.violate("books", "", "%d events were published, and %d perhaps; the books say %d", acked, maybe, b.Published)
	}
}

// checkUsage compares the counts in Redis with what clients saw. They must be equal where no
// gateway was killed; a gateway that was may have lost counts, but never counts twice.
func (w *world) checkUsage() {
	low, high := map[*key]int64{}, map[*key]int64{}
	w.history.mu.Lock()
	for _, r := range w.history.requests {
		switch {
		case r.status == 200:
			low[r.key]++
			high[r.key]++
		case r.status == 0 && r.sent: // it may have been let in, and its answer lost
			high[r.key]++
		}
	}
	w.history.mu.Unlock()
	exact := !w.killedGW.Load()
	for _, k := range w.keys {
		err := harness.Poll(15*time.Second, func() error {
			n, err := w.store.rdb.HGet(w.tb.ctx, "tenzo:usage:"+k.id, "count").Int64()
			if errors.Is(err, redis.Nil) {
				n, err = 0, nil
			}
			if err == nil && (n > high[k] || exact && n < low[k]) {
				err = fmt.Errorf("redis counts %d uses; clients saw %d, and %d perhaps", n, low[k], high[k]-low[k])
			}
			return err
		})
		if err != nil && w.tb.ctx.Err() == nil {
			w.history.violate("usage", k.id, "key %s: %v", k, err)
		}
	}
}

// check checks the history of a seed that has ended.
func (w *world) check() {
	w.checkEvents()
	w.checkKeys()
}

// checkEvents checks every delivery.
func (w *world) checkEvents() {
	h := w.history
	byEvent := map[string][]attempt{}
	for _, a := range h.attempts {
		name := a.org + " " + a.id
		byEvent[name] = append(byEvent[name], a)
		if a.problem != "" {
			h.violate("attempt", a.id, "%s of %s: %s", a.id, a.org, a.problem)
		}
		if h.events[name] == nil {
			h.violate("attempt", a.id, "%s of %s was never published", a.id, a.org)
		}
	}
	for name, e := range h.events {
		attempts := byEvent[name]
		slices.SortFunc(attempts, func(a, b attempt) int { return cmp.Compare(a.at, b.at) })
		acknowledged := 0
		for i, a := range attempts {
			if a.acknowledged {
				acknowledged++
			}
			if i > 0 {
				w.checkGap(e, attempts[:i], a)
			}
		}
		if e.acked > 0 && e.invalid == "" && acknowledged == 0 {
			h.violate("no event lost", e.id, "%s of %s was published and never acknowledged", e.id, e.org)
		}
		if len(attempts) == 0 {
			continue
		}
		// A crash, pause, partition or failover between sending and recording repeats an attempt.
		faults := h.faultsBetween(attempts[0].at-cacheTTL, attempts[len(attempts)-1].at)
		replays := h.replaysUntil(attempts[len(attempts)-1].at)
		if most := 4*(1+replays) + faults; len(attempts) > most && e.acked+e.maybe == 1 {
			h.violate("attempts", e.id, "%s of %s was tried %d times, with %d replays and %d faults", e.id, e.org, len(attempts), replays, faults)
		}
		if acknowledged > 1+faults && e.acked+e.maybe == 1 {
			h.violate("attempts", e.id, "%s of %s was acknowledged %d times, with %d faults", e.id, e.org, acknowledged, faults)
		}
	}
}

// checkGap checks that a retry was not early. What a fault or a replay may have repeated says
// nothing, and each earlier fault may have kept one attempt from being recorded, so that the retry
// counts as an earlier one.
func (w *world) checkGap(e *event, earlier []attempt, a attempt) {
	h, i := w.history, len(earlier)
	before := earlier[i-1]
	if i > len(backoff) || h.replaysUntil(a.at) > 0 || e.acked+e.maybe > 1 || h.faultsBetween(before.at-time.Second, a.at) > 0 {
		return
	}
	if before.acknowledged {
		h.violate("attempts", e.id, "%s of %s was tried again after it was acknowledged, without a fault", e.id, e.org)
		return
	}
	least := backoff[max(0, i-1-h.faultsBetween(earlier[0].at-cacheTTL, before.at))]
	if gap := a.at - before.end; gap < least {
		h.violate("retries", e.id, "attempt %d of %s came %v after the failure before it, not %v", i+1, e.id, gap, least)
	}
}

// checkKeys checks every verdict.
func (w *world) checkKeys() {
	h := w.history
	requests := slices.Clone(h.requests)
	slices.SortFunc(requests, func(a, b request) int { return cmp.Compare(a.start, b.start) })
	type place struct {
		gateway int
		key     *key
	}
	refused := map[place]time.Duration{} // the end of the first refusal of a revoked key
	for _, r := range requests {
		at := place{r.gateway, r.key}
		if _, seen := refused[at]; r.code == "revoked_api_key" && (!seen || r.end < refused[at]) {
			refused[at] = r.end
		}
	}
	// By gateway, the end of the latest read that waited its whole second.
	late := map[int]time.Duration{}
	for _, r := range requests {
		k := r.key
		revoking, revoked := time.Duration(k.revoking.Load()), time.Duration(k.revoked.Load())
		switch {
		case k.neverMade:
			if r.status == 200 {
				h.violate("unknown keys", k.id, "gateway %d let a key in that never was", r.gateway)
			}
		case r.status == 200:
			if revoked > 0 && r.start > revoked+cacheTTL {
				h.violate("revocation", k.id, "gateway %d let key %s in %v after its revocation", r.gateway, k, r.start-revoked)
			}
			if first, ok := refused[place{r.gateway, k}]; ok && revoked > 0 && r.start > first {
				h.violate("revocation", k.id, "gateway %d let key %s in %v after it had refused it", r.gateway, k, r.start-first)
			}
		case r.status >= 400 && r.status < 500 && (revoking == 0 || r.end < revoking):
			h.violate("no good key refused", k.id, "gateway %d answered %d %s for the good key %s", r.gateway, r.status, r.code, k)
		case r.status == 503:
			// On a busy machine Redis may be late without a fault; refusals that follow spare the
			// wait.
			if r.end-r.start > 900*time.Millisecond {
				late[r.gateway] = max(late[r.gateway], r.end)
			}
			if end, ok := late[r.gateway]; ok && r.start < end+recovery {
				break
			}
			if h.faultsBetween(r.start-recovery, r.end) == 0 {
				h.violate("no good key refused", k.id, "gateway %d answered 503 %s for key %s, without a fault within %v", r.gateway, r.code, k, recovery)
			}
		}
	}
}
