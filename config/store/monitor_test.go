package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// log is a log that can be read while it is written.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// watch runs a monitor until the test ends.
func watch(t *testing.T, st *store.Store) (*store.Monitor, *log) {
	t.Helper()
	l := &log{}
	m := store.NewMonitor(st, slog.New(slog.NewTextHandler(l, nil)))
	run, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { m.Run(run) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return m, l
}

// within waits for a state.
func within(t *testing.T, d time.Duration, m *store.Monitor, want func(store.State) bool) {
	t.Helper()
	harness.Eventually(t, d, func() error {
		if s := m.State(); !want(s) {
			return fmt.Errorf("state %+v", s)
		}
		return nil
	})
}

func fine(s store.State) bool { return s.Up && s.Initialized && s.Err == nil }

func TestMonitorNoticesTheMarker(t *testing.T) {
	r := harness.StartRedis(t, harness.AOF...)
	st := open(t, store.Options{URL: r.URL()})
	m, l := watch(t, st)
	noMarker := func(s store.State) bool {
		return s.Up && !s.Initialized && errors.Is(s.Err, store.ErrNotInitialized)
	}
	within(t, 2*time.Second, m, noMarker)
	r.Mark()
	within(t, 2*time.Second, m, fine)
	since := m.State().Since
	r.FlushAll()
	within(t, 2*time.Second, m, noMarker)
	if !m.State().Since.After(since) {
		t.Error("Since did not move")
	}
	if n := l.count("level=ERROR"); n != 2 {
		t.Errorf("%d errors logged:\n%s", n, l)
	}
	if n := l.count("redis answers"); n != 1 {
		t.Errorf("%d recoveries logged:\n%s", n, l)
	}
}

func TestMonitorNoticesAReplica(t *testing.T) {
	r, st := marked(t, harness.AOF...)
	m, l := watch(t, st)
	within(t, 2*time.Second, m, fine)
	if err := st.BlockingClient().Ping(ctx(t)).Err(); err != nil { // a connection of the other pool
		t.Fatal(err)
	}
	r.ReplicaOf(harness.StartRedis(t))
	within(t, 5*time.Second, m, func(s store.State) bool { return !s.Up && errors.Is(s.Err, store.ErrReplica) })
	for name, c := range map[string]redis.UniversalClient{"client": st.Client(), "blocking": st.BlockingClient()} {
		if err := c.Ping(ctx(t)).Err(); !errors.Is(err, store.ErrReplica) {
			t.Errorf("%s: an old connection still answers: %v", name, err)
		}
	}
	r.ReplicaOf(nil)
	r.Mark() // the primary that it followed was empty
	within(t, 5*time.Second, m, fine)
	if l.count("answers as a replica") != 1 || l.count("redis answers\"") != 2 {
		t.Errorf("logged:\n%s", l)
	}
}

func TestMonitorNoticesAPauseAndAnOutage(t *testing.T) {
	r, st := marked(t, harness.AOF...)
	m, l := watch(t, st)
	within(t, 2*time.Second, m, fine)
	down := func(s store.State) bool { return !s.Up && s.Initialized && s.Err != nil }
	r.Pause()
	within(t, 5*time.Second, m, down)
	r.Resume()
	within(t, 5*time.Second, m, fine)
	r.Kill()
	within(t, 5*time.Second, m, down)
	r.Start()
	within(t, 5*time.Second, m, fine)
	if n := l.count("gives no answer"); n != 2 {
		t.Errorf("%d outages logged:\n%s", n, l)
	}
}

func TestMonitorOfACluster(t *testing.T) {
	c := harness.StartCluster(t)
	m, _ := watch(t, open(t, store.Options{URL: c.URL()}))
	within(t, 3*time.Second, m, func(s store.State) bool { return s.Up && errors.Is(s.Err, store.ErrNotInitialized) })
	c.Mark(t)
	within(t, 2*time.Second, m, fine)
}

func TestAdvice(t *testing.T) {
	r := harness.StartRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	r.Mark()
	if err := r.Client(t).XGroupCreateMkStream(ctx(t), "tenzo:events", "other", "0").Err(); err != nil {
		t.Fatal(err)
	}
	m, l := watch(t, open(t, store.Options{URL: r.URL()}))
	within(t, 2*time.Second, m, fine)
	harness.Eventually(t, 2*time.Second, func() error {
		for _, want := range []string{"append-only", "noeviction", "consumer group"} {
			if l.count(want) == 0 {
				return fmt.Errorf("no advice on %q in\n%s", want, l)
			}
		}
		return nil
	})
	if n := l.count("level=WARN"); n != 3 {
		t.Errorf("%d warnings:\n%s", n, l)
	}
}

func TestNoAdviceWhereAllIsWell(t *testing.T) {
	r := harness.StartRedis(t, append(harness.AOF, limited()...)...)
	st := open(t, store.Options{URL: r.URLAs("tenzo", "pw")})
	if _, err := st.Initialize(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if err := st.Client().XGroupCreateMkStream(ctx(t), "tenzo:events", store.ConsumerGroup, "0").Err(); err != nil {
		t.Fatal(err)
	}
	m, l := watch(t, st)
	within(t, 2*time.Second, m, fine)
	within(t, 3*time.Second, m, func(s store.State) bool { return time.Since(s.Since) > 1200*time.Millisecond })
	if n := l.count("level=WARN"); n != 0 {
		t.Errorf("%d warnings:\n%s", n, l)
	}
}

func TestMetrics(t *testing.T) {
	m := store.NewMetrics()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m.Collectors()...)
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	if n, err := testutil.GatherAndCount(registry, "tenzo_redis_commands_total"); err != nil || n != 4 {
		t.Errorf("%d results before the first command", n)
	}
	r := harness.StartRedis(t, harness.AOF...)
	r.Mark()
	st := open(t, store.Options{URL: r.URL(), Metrics: m})
	mon, _ := watch(t, st)
	within(t, 2*time.Second, mon, fine)
	gauges := func(up, initialized int) {
		t.Helper()
		harness.Eventually(t, 3*time.Second, func() error {
			return testutil.GatherAndCompare(registry, strings.NewReader(fmt.Sprintf(
				"# HELP tenzo_redis_initialized 1 where the schema marker of this program is in Redis.\n# TYPE tenzo_redis_initialized gauge\ntenzo_redis_initialized %d\n"+
					"# HELP tenzo_redis_up 1 where Redis answers as a primary.\n# TYPE tenzo_redis_up gauge\ntenzo_redis_up %d\n", initialized, up)),
				"tenzo_redis_up", "tenzo_redis_initialized")
		})
	}
	gauges(1, 1)
	r.FlushAll()
	gauges(1, 0)

	before := counterValue(t, m, "error")
	st.Client().Do(ctx(t), "no-such-command")
	if n := counterValue(t, m, "error") - before; n != 1 {
		t.Errorf("error counted %v times", n)
	}
	r.Pause()
	defer r.Resume()
	before = counterValue(t, m, "timeout")
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	st.Client().Ping(short)
	if n := counterValue(t, m, "timeout") - before; n < 1 {
		t.Errorf("timeout counted %v times", n)
	}
	gauges(0, 0)
}

func TestPipelinesCountByCommandAndLastAsOne(t *testing.T) {
	r := harness.StartRedis(t)
	m := store.NewMetrics()
	st := open(t, store.Options{URL: r.URL(), Metrics: m})
	pipe := st.Client().Pipeline()
	for range 7 {
		pipe.Ping(ctx(t))
	}
	if _, err := pipe.Exec(ctx(t)); err != nil {
		t.Fatal(err)
	}
	commands, trips := counted(t, m) // HELLO and the like among them
	for range 2 {
		pipe := st.Client().Pipeline()
		for range 7 {
			pipe.Ping(ctx(t))
		}
		if _, err := pipe.Exec(ctx(t)); err != nil {
			t.Fatal(err)
		}
	}
	now, after := counted(t, m)
	if now-commands != 14 || after-trips != 2 {
		t.Errorf("%v commands, %v round trips", now-commands, after-trips)
	}
	st.Client().Ping(ctx(t)) // dials: single commands have connections of their own
	_, after = counted(t, m)
	st.Client().(*redis.Client).Wait(ctx(t), 1, 20*time.Millisecond)
	st.BlockingClient().XRead(ctx(t), &redis.XReadArgs{Streams: []string{"tenzo:changes", "0"}, Block: 20 * time.Millisecond})
	if _, waited := counted(t, m); waited != after {
		t.Errorf("%v round trips of commands that wait", waited-after)
	}
}

// counted returns how many commands and how many round trips there were.
func counted(t *testing.T, m *store.Metrics) (commands, trips float64) {
	t.Helper()
	for _, f := range gather(t, m) {
		for _, metric := range f.GetMetric() {
			switch f.GetName() {
			case "tenzo_redis_commands_total":
				commands += metric.GetCounter().GetValue()
			case "tenzo_redis_command_duration_seconds":
				trips += float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return commands, trips
}

func gather(t *testing.T, m *store.Metrics) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func counterValue(t *testing.T, m *store.Metrics, result string) float64 {
	t.Helper()
	for _, f := range gather(t, m) {
		for _, metric := range f.GetMetric() {
			if f.GetName() == "tenzo_redis_commands_total" && metric.GetLabel()[0].GetValue() == result {
				return metric.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no result %q", result)
	return 0
}
