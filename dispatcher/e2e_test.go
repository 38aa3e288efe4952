package dispatcher

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func local(r *harness.Receiver) func(*Options) {
	return func(o *Options) {
		o.CAFile, o.AllowNetworks = r.CAFile(), []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
}

// runEndToEnd runs a dispatcher with its own sender and projector.
func (e *env) runEndToEnd(st *store.Store, change func(*Options)) *Dispatcher {
	e.t.Helper()
	o := Defaults()
	o.GracePeriod, o.Logger = time.Second, slog.New(slog.NewTextHandler(testWriter{e.t}, nil))
	change(&o)
	follower := changes.New(st, o.Logger)
	ctx, cancel := context.WithCancel(context.Background())
	d, err := New(st, follower, o)
	if err != nil {
		e.t.Fatal(err)
	}
	done := make(chan struct{}, 2)
	go func() { follower.Run(ctx); done <- struct{}{} }()
	go func() { d.Run(ctx); done <- struct{}{} }()
	e.t.Cleanup(func() { cancel(); <-done; <-done })
	return d
}

// An event is delivered from the stream to a receiver over TLS, signed. A payload that may not
// leave does not.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	r := harness.NewReceiver(t, harness.ReceiverOptions{})
	e.do("hset", "tenzo:webhook:org", "url", r.URL()+"/hook?token=t", "secret", "s3cret", "active", "1")
	e.do("hset", "tenzo:webhook:private", "url", "https://10.1.2.3/", "active", "1")
	d := e.runEndToEnd(e.store, local(r))
	body := payload.Sample("interview.results", "org")
	if _, err := e.q.Publish(t.Context(), queue.Event{Name: "interview.results", OrgID: "org", ID: "call-1", Payload: body}); err != nil {
		t.Fatal(err)
	}
	for _, ev := range []queue.Event{
		{Name: "interview.results", OrgID: "org", ID: "bad", Payload: []byte(`{"a":1}`)},
		{Name: "nothing.known", OrgID: "org", ID: "unknown", Payload: []byte(`{"a":1}`)},
		{Name: "interview.results", OrgID: "org", ID: "large", Payload: []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)},
		{Name: "interview.results", OrgID: "nobody", ID: "bad", Payload: []byte(`{"a":1}`)},
		{Name: "interview.results", OrgID: "nobody", ID: "large", Payload: []byte(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)},
		{Name: "interview.results", OrgID: "private", ID: "call-1", Payload: body},
	} {
		if _, err := e.q.Publish(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	e.books(10*time.Second, queue.Books{Published: 7, Delivered: 1, Skipped: 2, Dead: 4})
	got := r.Wait(1, 5*time.Second)[0]
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write(got.Body)
	if got.Header.Get("X-Webhook-Signature") != hex.EncodeToString(mac.Sum(nil)) || got.Header.Get("Webhook-Id") != "call-1" {
		t.Errorf("%v", got.Header)
	}
	reasons := map[string]string{}
	for _, org := range []string{"org", "private"} {
		p, err := e.q.DeadLetters(t.Context(), org, 10, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range p.Items {
			reasons[org+"/"+l.ID] = fmt.Sprint(l.Reason, " ", l.Attempts)
		}
	}
	want := "map[org/bad:invalid_payload 0 org/large:payload_too_large 0 org/unknown:unknown_event 0 private/call-1:blocked 0]"
	if fmt.Sprint(reasons) != want {
		t.Errorf("dead: %v\nwant: %v", reasons, want)
	}
	m := d.metrics
	for label, c := range map[string]prometheus.Counter{
		"delivered": m.of("interview.results").outcomes[outcomeDelivered], "unknown": m.of("nothing.known").outcomes[outcomeDead],
		"acknowledged": m.of("interview.results").results["acknowledged"], "blocked": m.of("interview.results").results["blocked"],
	} {
		if v := testutil.ToFloat64(c); v != 1 {
			t.Errorf("%s: %v", label, v)
		}
	}
}

// In a Cluster the helper keys share the slot of the stream, so every script works.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t)
	c.Mark(t)
	r := harness.NewReceiver(t, harness.ReceiverOptions{})
	e := &env{t: t}
	e.store = e.open(c.URL())
	e.q = queue.New(e.store, queue.Options{})
	client := c.Client(t)
	for i := range 5 {
		if err := client.HSet(t.Context(), fmt.Sprint("tenzo:webhook:org", i), "url", r.URL(), "active", "1").Err(); err != nil {
			t.Fatal(err)
		}
	}
	e.runEndToEnd(e.store, local(r))
	for i := range 100 {
		ev := queue.Event{Name: "interview.results", OrgID: fmt.Sprint("org", i%6), ID: fmt.Sprint("c", i), Payload: payload.Sample("interview.results", "")}
		ev.Payload = []byte(`{"call_id":"c"}`)
		if _, err := e.q.Publish(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	e.books(20*time.Second, queue.Books{Published: 100, Delivered: 84, Skipped: 16})
	if p, err := e.q.Deliveries(t.Context(), "org1", 100, ""); err != nil || len(p.Items) != 17 {
		t.Errorf("%d in the delivery log, %v", len(p.Items), err)
	}
}

// A test delivery is one attempt: it is in the delivery log and not in the books.
func TestTester(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	r := harness.NewReceiver(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Status: 302})})
	e.do("hset", "tenzo:webhook:org", "url", r.URL(), "active", "0")
	o := Defaults()
	local(r)(&o)
	tester, err := NewTester(e.store, o)
	if err != nil {
		t.Fatal(err)
	}
	defer tester.Close()
	res, err := tester.Test(t.Context(), "org", "note.finalized")
	if err != nil || res.Acknowledged || res.Status != 302 || res.Error == "" || res.Trace == nil || len(res.Body) == 0 {
		t.Errorf("%+v, %v", res, err)
	}
	if r.Count() != 1 {
		t.Errorf("%d requests", r.Count())
	}
	p, err := e.q.Deliveries(t.Context(), "org", 10, "")
	if err != nil || len(p.Items) != 1 || p.Items[0].Attempt != 0 || p.Items[0].Status != 302 {
		t.Errorf("%+v, %v", p, err)
	}
	e.books(time.Second, queue.Books{})
	for event, code := range map[string]string{"": "missing_event", "nothing.known": "unknown_event"} {
		_, err := tester.Test(t.Context(), "org", event)
		if refusal, ok := errors.AsType[*problem.Error](err); !ok || refusal.Code != code || refusal.Field != "event" {
			t.Errorf("a test with the event %q: %v", event, err)
		}
	}
	if _, err := tester.Test(t.Context(), "nobody", "note.finalized"); err != webhook.ErrNotFound {
		t.Errorf("%v", err)
	}
}

// Every metric and label of specification.md, section 11 exists from the start.
func TestMetricsExistFromTheStart(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	m := NewMetrics()
	m.prepare([]string{"candidate.hired"})
	reg.MustRegister(m.Collectors()...)
	got, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, f := range got {
		series[f.GetName()] = len(f.GetMetric())
	}
	want := map[string]int{
		"tenzo_webhook_events_total": 4 * 4, "tenzo_webhook_attempts_total": 4 * 11, "tenzo_webhook_attempt_duration_seconds": 4,
		"tenzo_webhook_delivery_delay_seconds": 4, "tenzo_webhook_in_flight": 1, "tenzo_webhook_recovered_total": 1, "tenzo_webhook_parked": 1,
		"tenzo_webhook_retrying": 1, "tenzo_webhook_backlog": 1, "tenzo_webhook_oldest_event_age_seconds": 1, "tenzo_webhook_dead_letters": 1,
		"tenzo_webhook_books_difference": 1, "tenzo_webhook_lost_total": 1, "tenzo_webhook_dead_dropped_total": 1,
	}
	if fmt.Sprint(series) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", series, want)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
