package tests

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// countDuplicates checks that every event of an organization has arrived, and returns the number of
// requests beyond the first of each event.
func (h *webhookEnv) countDuplicates(seen map[string]int, org string, n int) (duplicates int) {
	h.t.Helper()
	for i := range n {
		id := fmt.Sprintf("%s-%d", org, i)
		if seen[id] == 0 {
			h.t.Errorf("%s was never delivered", id)
		}
		duplicates += max(0, seen[id]-1)
	}
	return duplicates
}

// arrivals counts requests by Webhook-Id without keeping them.
type arrivals struct {
	mu   sync.Mutex
	seen map[string]int
}

func (a *arrivals) record(r *harness.Received) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen == nil {
		a.seen = map[string]int{}
	}
	a.seen[r.Header.Get("Webhook-Id")]++
}

func (a *arrivals) counts() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.seen)
}

// TestKilledDispatchers kills one of two dispatchers during a burst, TENZO_TEST_KILLS times. No
// event is lost, all are delivered within 20 s of the last kill, and only events in flight may
// arrive twice.
func TestKilledDispatchers(t *testing.T) {
	kills := 4
	if n, err := strconv.Atoi(os.Getenv("TENZO_TEST_KILLS")); err == nil {
		kills = n
	}
	var got arrivals
	h := newWebhookEnv(t, harness.ReceiverOptions{Forget: true, Record: got.record})
	const inFlight = 64
	flags := []string{"--max-in-flight", strconv.Itoa(inFlight)}
	h.setWebhook("acme", "")
	h.setWebhook("globex", "")
	pair := []*dispatcher{h.dispatch(flags...), h.dispatch(flags...)}
	const burst = 500
	for i := range kills {
		h.publishMany(h.rdb, "acme", i*burst, (i+1)*burst)
		h.publishMany(h.rdb, "globex", i*burst, (i+1)*burst)
		at := h.receiver.Count()
		harness.Eventually(t, 30*time.Second, func() error { // during the burst
			if n := h.receiver.Count(); n < at+burst/5 {
				return fmt.Errorf("only %d more requests", n-at)
			}
			return nil
		})
		pair[i%2].Kill()
		pair[i%2] = h.dispatch(flags...)
	}
	killed := time.Now()
	total := int64(2 * kills * burst)
	h.awaitDrained(60*time.Second, books{Published: total, Delivered: total})
	took := time.Since(killed)
	if took > 20*time.Second {
		t.Errorf("all is delivered only %v after the last kill", took)
	}
	duplicates := h.countDuplicates(got.counts(), "acme", kills*burst) + h.countDuplicates(got.counts(), "globex", kills*burst)
	if duplicates > kills*inFlight {
		t.Errorf("%d duplicates; at most %d were in flight", duplicates, kills*inFlight)
	}
	t.Logf("%d events, %d kills: %d duplicates, all delivered %v after the last kill", total, kills, duplicates, took.Round(time.Millisecond))
}

// TestRedisOutageWhileDelivering restarts Redis (with AOF) and pauses it during a burst. No event
// is lost, and only events in flight may arrive twice.
func TestRedisOutageWhileDelivering(t *testing.T) {
	for name, trouble := range map[string]func(*webhookEnv){
		"restarted": func(h *webhookEnv) { h.redis.Restart() },
		"paused": func(h *webhookEnv) {
			h.redis.Pause()
			at := h.receiver.Count()
			// Attempts in flight finish, then no new one starts.
			stable := 0
			harness.Eventually(h.t, 30*time.Second, func() error {
				if n := h.receiver.Count(); n != at {
					at, stable = n, 0
				} else if stable++; stable > 100 {
					return nil
				}
				return fmt.Errorf("still delivering after %d", at)
			})
			h.redis.Resume()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got arrivals
			h := newWebhookEnv(t, harness.ReceiverOptions{Forget: true, Record: got.record, Answer: harness.Always(harness.Answer{Delay: 2 * time.Millisecond})})
			h.setWebhook("acme", "")
			h.dispatch("--max-in-flight", "64")
			h.publishMany(h.rdb, "acme", 0, 3000)
			harness.Eventually(t, 30*time.Second, func() error {
				if n := h.receiver.Count(); n < 500 {
					return fmt.Errorf("only %d requests", n)
				}
				return nil
			})
			trouble(h)
			h.rdb = h.redis.Client(t)
			h.awaitDrained(60*time.Second, books{Published: 3000, Delivered: 3000})
			if n := h.countDuplicates(got.counts(), "acme", 3000); n > 64 {
				t.Errorf("%d requests came twice", n)
			}
		})
	}
}

// TestStreamRecreated deletes the stream, or all data, while a dispatcher runs. The dispatcher
// recovers, later events are delivered, and the deleted ones are counted as lost.
func TestStreamRecreated(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	d := h.dispatch()
	h.setWebhook("acme", "")
	h.publishInterview("acme", "before")
	h.awaitDrained(10*time.Second, books{Published: 1, Delivered: 1})

	must(t, h.rdb.Del(t.Context(), "tenzo:events").Err())
	h.publishInterview("acme", "after-del")
	h.awaitDrained(10*time.Second, books{Published: 2, Delivered: 2})

	must(t, h.rdb.XGroupDestroy(t.Context(), "tenzo:events", "dispatcher").Err())
	h.publishInterview("acme", "after-destroy")
	h.awaitDrained(10*time.Second, books{Published: 3, Delivered: 3})

	h.redis.FlushAll()
	harness.Eventually(t, 4*time.Second, func() error {
		n, err := metric(d.status, "tenzo_redis_initialized")
		if err == nil && n != 0 {
			err = fmt.Errorf("tenzo_redis_initialized is %v", n)
		}
		return err
	})
	h.publishInterview("acme", "without-marker") // waits, because Redis has lost its marker
	// Before the marker, because delivery resumes with it.
	h.setWebhook("acme", "")
	h.redis.Mark()
	h.publishInterview("acme", "after-flush")
	h.awaitDrained(10*time.Second, books{Published: 2, Delivered: 2})
	if n := h.deliveries(); n["without-marker"] != 1 || n["after-flush"] != 1 {
		t.Errorf("delivered %v", n)
	}
}

// TestWaitsWithoutMarker publishes into a Redis without marker. No event is delivered or skipped
// until the marker is written.
func TestWaitsWithoutMarker(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	d := h.dispatch()
	must(t, h.rdb.Del(t.Context(), "tenzo:schema").Err())
	harness.Eventually(t, 4*time.Second, func() error {
		n, err := metric(d.status, "tenzo_redis_initialized")
		if err == nil && n != 0 {
			err = fmt.Errorf("tenzo_redis_initialized is %v", n)
		}
		return err
	})
	h.setWebhook("acme", "")
	h.publishInterview("acme", "one")
	h.publishInterview("nobody", "two")
	if err := harness.Poll(2*time.Second, func() error {
		n, err := h.rdb.XLen(t.Context(), "tenzo:events").Result()
		if err == nil && n == 2 {
			err = errors.New("they wait")
		}
		return err
	}); err == nil {
		t.Error("without a marker an event was finished")
	}
	h.redis.Mark()
	h.awaitDrained(10*time.Second, books{Published: 2, Delivered: 1, Skipped: 1})
}

// TestForeignConsumerInGroup reads events with a foreign consumer in the dispatcher's group that
// never acknowledges them. They are still delivered, once.
func TestForeignConsumerInGroup(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	h.setWebhook("acme", "")
	h.dispatch()
	h.publishInterview("acme", "before")
	h.awaitDrained(10*time.Second, books{Published: 1, Delivered: 1})
	// While both read, chance decides who gets an event. The foreign consumer gets some.
	for i := range 20 {
		h.publishInterview("acme", fmt.Sprint("contested-", i))
		err := h.rdb.XReadGroup(t.Context(), &redis.XReadGroupArgs{
			Group: "dispatcher", Consumer: "stranger", Streams: []string{"tenzo:events", ">"}, Count: 1, Block: -1,
		}).Err()
		if err != nil && !errors.Is(err, redis.Nil) {
			t.Fatal(err)
		}
	}
	h.awaitDrained(60*time.Second, books{Published: 21, Delivered: 21})
	if n := h.receiver.Count(); n != 21 {
		t.Errorf("%d requests for 21 events", n)
	}
}

// TestLossIsCounted deletes events that were not delivered. The books show a difference until an
// operator writes it off.
func TestLossIsCounted(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	d := h.dispatch()
	h.setWebhook("acme", "")
	h.publishInterview("acme", "one")
	h.awaitDrained(10*time.Second, books{Published: 1, Delivered: 1})
	d.Terminate()
	d.Wait(20 * time.Second)
	for i := range 3 {
		h.publishInterview("acme", fmt.Sprint("lost-", i))
	}
	must(t, h.rdb.XTrimMaxLen(t.Context(), "tenzo:events", 1).Err())
	d = h.dispatch()
	h.awaitDrained(10*time.Second, books{Published: 4, Delivered: 2, Difference: 2})
	harness.Eventually(t, 30*time.Second, func() error {
		for _, sample := range []string{"tenzo_webhook_books_difference", "tenzo_webhook_lost_total"} {
			if n, err := metric(d.status, sample); err != nil || n != 2 {
				return fmt.Errorf("%s is %v, %w", sample, n, err)
			}
		}
		return nil
	})
	if r := command(t, h.redis.URL(), "events", "status", "--accept"); r.Status != 0 {
		t.Errorf("events status --accept: %+v", r)
	}
	if b := h.books(); b.Difference != 0 {
		t.Errorf("after it was written off the books are %+v", b)
	}
}

// TestIsolation lets some endpoints hang and some fail. Deliveries to the other endpoints do not
// wait for them.
func TestIsolation(t *testing.T) {
	const orgs, rounds = 40, 25
	var mu sync.Mutex
	delays := []time.Duration{}
	published := map[string]time.Time{}
	h := newWebhookEnv(t, harness.ReceiverOptions{
		Answer: func(r *harness.Received) harness.Answer {
			switch {
			case strings.HasSuffix(r.Path, "/hang"):
				return harness.Answer{Hang: true}
			case strings.HasSuffix(r.Path, "/fail"):
				return harness.Answer{Status: 500}
			}
			mu.Lock()
			defer mu.Unlock()
			if at, ok := published[r.Header.Get("Webhook-Id")]; ok {
				delays = append(delays, r.At.Sub(at))
			}
			return harness.Answer{}
		},
	})
	for i := range orgs {
		path := "/fine"
		switch {
		case i < 4:
			path = "/hang"
		case i < 8:
			path = "/fail"
		}
		h.setWebhook(fmt.Sprint("org", i), path)
	}
	h.dispatch("--max-in-flight", "128")
	healthy := 0
	tick := time.NewTicker(100 * time.Millisecond) // the rate of publishing
	defer tick.Stop()
	for round := range rounds {
		<-tick.C
		for i := range orgs {
			id := fmt.Sprintf("%d-%d", i, round)
			mu.Lock()
			if i >= 8 {
				published[id] = time.Now()
				healthy++
			}
			mu.Unlock()
			h.publishInterview(fmt.Sprint("org", i), id)
		}
	}
	harness.Eventually(t, 10*time.Second, func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(delays) < healthy {
			return fmt.Errorf("%d of %d deliveries to healthy endpoints", len(delays), healthy)
		}
		return nil
	})
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(delays)
	p50, p99 := delays[len(delays)/2], delays[len(delays)*99/100]
	t.Logf("healthy endpoints: median %v, 99th percentile %v, worst %v", p50, p99, delays[len(delays)-1])
	if p99 > time.Second { // loose, for a busy machine; the load benchmark measures it
		t.Errorf("the 99th percentile of healthy endpoints is %v", p99)
	}
	h.books()
}
