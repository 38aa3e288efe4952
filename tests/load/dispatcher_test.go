package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// site is a Redis with the persistence of production, a receiver, and organizations whose webhooks
// lead to it.
type site struct {
	b     *testing.B
	redis *harness.Redis
	rdb   *redis.Client
	recv  *receiver
	body  string
	next  int // the number of the next event
}

func newSite(b *testing.B, orgs int) *site {
	b.Helper()
	s := &site{b: b, redis: harness.StartRedis(b, harness.AOF...), recv: newReceiver(b), body: document(2000)}
	s.redis.Mark()
	s.rdb = s.redis.Client(b)
	for i := range orgs {
		s.webhook(i, "/")
	}
	return s
}

// document returns a note of about size bytes with public members only, so that the delivered
// payload is as large as the published one.
func document(size int) string {
	var note bytes.Buffer
	if err := json.Compact(&note, payload.Sample(payload.NoteFinalized, "load")); err != nil {
		panic(err)
	}
	text := strings.Replace(note.String(), `"orgId":"load",`, "", 1)
	return strings.Replace(text, `"summary":"`, `"summary":"`+strings.Repeat("x", max(0, size-len(text))), 1)
}

func org(i int) string { return "org" + strconv.Itoa(i) }

// webhook writes an organization's webhook, as the backend may.
func (s *site) webhook(i int, path string) {
	s.b.Helper()
	now := time.Now().UTC().Format(time.RFC3339)
	err := s.rdb.HSet(s.b.Context(), "tenzo:webhook:"+org(i), "url", "https://"+s.recv.addr+path+org(i), "secret", webhook.GenerateSecret(),
		"active", "1", "created_at", now, "updated_at", now).Err()
	if err != nil {
		s.b.Fatal(err)
	}
}

// fill publishes n events, spread over the organizations.
func (s *site) fill(stream string, n, orgs int) {
	s.b.Helper()
	for n > 0 {
		pipe := s.rdb.Pipeline()
		for range min(n, 1000) {
			pipe.XAdd(s.b.Context(), &redis.XAddArgs{Stream: stream, Values: s.event(orgs)})
			n--
		}
		if _, err := pipe.Exec(s.b.Context()); err != nil {
			s.b.Fatal(err)
		}
	}
}

func (s *site) event(orgs int) []string {
	s.next++
	return []string{"event", payload.NoteFinalized, "org_id", org(s.next % orgs), "payload", s.body, "id", "e" + strconv.Itoa(s.next)}
}

// dispatch starts a dispatcher.
func (s *site) dispatch(flags ...string) *harness.Process {
	s.b.Helper()
	args := append([]string{"dispatch", "--listen", harness.FreeAddr(s.b), "--allow-networks", "127.0.0.0/8", "--ca-file", s.recv.ca.File()}, flags...)
	return harness.Start(s.b, harness.Command{
		Name: "dispatch", Path: harness.Binary(s.b), Args: args, Env: []string{"TENZO_REDIS_URL=" + s.redis.URL()},
	})
}

// bare starts the bare loop.
func (s *site) bare() *harness.Process {
	s.b.Helper()
	self, err := os.Executable()
	if err != nil {
		s.b.Fatal(err)
	}
	return harness.Start(s.b, harness.Command{Name: "bare", Path: self, Env: []string{
		bareEnv + "=https://" + s.recv.addr + "/", bareEnv + "_CA=" + s.recv.ca.File(), "TENZO_REDIS_URL=" + s.redis.URL(),
	}})
}

// finished waits until the stream is empty.
func (s *site) finished(stream string, within time.Duration) {
	s.b.Helper()
	harness.Eventually(s.b, within, func() error {
		n, err := s.rdb.XLen(s.b.Context(), stream).Result()
		if err == nil && n > 0 {
			err = fmt.Errorf("%d events are not finished", n)
		}
		return err
	})
}

// balanced fails unless the books balance with this number of delivered events.
func (s *site) balanced(delivered int64) {
	s.b.Helper()
	out := harness.Run(s.b, harness.Command{
		Name: "status", Path: harness.Binary(s.b), Args: []string{"events", "status", "--json"}, Env: []string{"TENZO_REDIS_URL=" + s.redis.URL()},
	}, "")
	var books struct{ Delivered, Dead, Waiting, Difference int64 }
	if err := json.Unmarshal([]byte(out.Stdout), &books); err != nil || out.Status != 0 || books.Difference != 0 {
		s.b.Fatalf("the books do not balance: %v %s %s", err, out.Stdout, out.Stderr)
	}
	if books.Delivered != delivered || books.Dead != 0 || books.Waiting != 0 {
		s.b.Fatalf("%d delivered, not all: %s", delivered, out.Stdout)
	}
}

// end stops a process that has no work left.
func end(b *testing.B, p *harness.Process) {
	b.Helper()
	p.Terminate()
	p.Wait(45 * time.Second)
}

// cpu returns the processor time that a process has used. It shows what work costs however busy the
// machine is.
func cpu(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(after) // fields from 3 on; utime and stime are fields 14 and 15, in 1/100 s
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func number(name string, fallback int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return fallback
}

// BenchmarkDispatcherDrain compares the rate at which the dispatcher delivers a backlog with that
// of the bare loop, in alternating runs. Both are timed from the first event received to the last.
// TENZO_LOAD_EVENTS and TENZO_LOAD_ROUNDS set the number of events and rounds. On a busy machine
// the rates mean little; the processor time of all processes for one event shows what they would
// be.
func BenchmarkDispatcherDrain(b *testing.B) {
	events, orgs, rounds := number("TENZO_LOAD_EVENTS", 50_000), 10, number("TENZO_LOAD_ROUNDS", 5)
	for b.Loop() {
		rates, costs := map[string][]float64{}, map[string][]float64{}
		s := newSite(b, orgs)
		delivered := int64(0)
		for round := range rounds {
			run := func(name, stream string, start func() *harness.Process) {
				s.fill(stream, events, orgs)
				s.recv.reset()
				p := start()
				s.recv.await(b, 1, time.Minute) // exclude the start
				before := [...]time.Duration{cpu(b, p.PID()), cpu(b, s.redis.Process().PID()), cpu(b, os.Getpid())}
				first, last := s.recv.await(b, events, 5*time.Minute)
				s.finished(stream, time.Minute)
				rate := float64(events-1) / last.Sub(first).Seconds()
				rates[name] = append(rates[name], rate)
				each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(events) }
				own, inRedis, received := each(cpu(b, p.PID())-before[0]), each(cpu(b, s.redis.Process().PID())-before[1]), each(cpu(b, os.Getpid())-before[2])
				costs[name] = append(costs[name], own+inRedis+received)
				b.Logf("round %d: %s %.0f/s; processor time an event: its own %.0f µs, Redis %.0f µs, the receiver %.0f µs",
					round, name, rate, own, inRedis, received)
				if name == "bare" {
					p.Kill()
					s.rdb.Del(context.Background(), stream)
					return
				}
				end(b, p)
				delivered += int64(events)
				s.balanced(delivered)
			}
			bare := func() { run("bare", "bare", s.bare) }
			dispatch := func() { run("dispatcher", "tenzo:events", func() *harness.Process { return s.dispatch() }) }
			if round%2 == 0 {
				bare()
				dispatch()
			} else {
				dispatch()
				bare()
			}
		}
		without, with := median(rates["bare"]), median(rates["dispatcher"])
		b.ReportMetric(without, "bare/s")
		b.ReportMetric(with, "dispatcher/s")
		b.ReportMetric(with/without, "ratio")
		b.ReportMetric(median(costs["bare"])/median(costs["dispatcher"]), "processor-ratio")
	}
	b.ReportMetric(0, "ns/op") // meaningless here
}
