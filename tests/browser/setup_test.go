package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/api"
	"github.com/tenzo-ai/tenzo-gateway/caddymodule/devtools"
	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// org is the organization whose page the tests open.
const org = "acme-recruiting"

// site is Developer Tools with real services and a real Redis, without Caddy.
type site struct {
	t        *testing.T
	URL      string
	Redis    *harness.Redis
	Raw      *redis.Client
	Store    *store.Store
	Keys     *apikey.Service
	Webhooks *webhook.Service
	Queue    *queue.Queue
	Handler  *devtools.Handler // options may be changed before the first request

	mu sync.Mutex
	// Runs before the page's handler.
	between func(w http.ResponseWriter, r *http.Request, next http.Handler)
}

// tester answers test events in place of a dispatcher, with a result that the test chooses.
type tester func(ctx context.Context, org, event string) (dispatcher.TestResult, error)

func (f tester) Test(ctx context.Context, org, event string) (dispatcher.TestResult, error) {
	return f(ctx, org, event)
}

// newSite serves the page of org.
func newSite(t *testing.T, test tester) *site {
	t.Helper()
	s := &site{t: t, Redis: harness.StartRedis(t)}
	s.Redis.Mark()
	s.Raw = s.Redis.Client(t)
	st, err := store.Open(store.Options{URL: s.Redis.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	s.Store = st
	s.Keys = apikey.NewService(st)
	s.Webhooks = webhook.NewService(st, &address.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	s.Queue = queue.New(st, queue.Options{})
	s.Handler = &devtools.Handler{
		API:             api.New(api.Services{Keys: s.Keys, Webhooks: s.Webhooks, Queue: s.Queue, Tester: test}),
		SourceAddresses: []string{"203.0.113.7", "203.0.113.8", "2001:db8:7::/64"},
	}
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Handler.Serve(w, r, devtools.Caller{Org: org}) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		between := s.between
		s.mu.Unlock()
		if between != nil {
			between(w, r, serve)
			return
		}
		serve(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// intercept sets a handler that runs before the page's.
func (s *site) intercept(between func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.between = between
}

// key creates a key and sets fields of its record, as another program may.
func (s *site) key(name string, fields map[string]string, usage int, used time.Time) apikey.Created {
	s.t.Helper()
	k, err := s.Keys.Create(s.t.Context(), org, apikey.Params{Name: name})
	if err != nil {
		s.t.Fatal(err)
	}
	names := s.Store.Names()
	for field, value := range fields {
		s.must(s.Raw.HSet(s.t.Context(), names.Key(apikey.Hash(k.Secret)), field, value).Err())
	}
	if usage > 0 {
		s.must(s.Raw.HSet(s.t.Context(), names.Usage(k.ID), store.UsageCount, usage, store.UsageLastUsedAt, used.UTC().Format(time.RFC3339Nano)).Err())
	}
	return k
}

// webhook sets the webhook.
func (s *site) webhook(url, secret string, active bool) {
	s.t.Helper()
	c := webhook.Change{URL: &url, Active: &active}
	if secret != "" {
		c.Secret = &secret
	}
	_, err := s.Webhooks.Set(s.t.Context(), org, c, false)
	s.must(err)
}

// deadLetter creates a dead letter.
func (s *site) deadLetter(event, id, reason string, attempts, status int, words string) {
	s.t.Helper()
	ctx := s.t.Context()
	_, err := s.Queue.Publish(ctx, queue.Event{Name: event, OrgID: org, ID: id, Payload: []byte(`{"noteId":"n","meeting":{"type":"intake"}}`)})
	s.must(err)
	p := s.Queue.NewProcess()
	_, err = p.Register(ctx)
	s.must(err)
	batch, err := p.Dequeue(ctx, 10, 1<<20)
	s.must(err)
	if len(batch.Events) != 1 {
		s.t.Fatalf("took %d events", len(batch.Events))
	}
	taken := &batch.Events[0]
	taken.Attempts, taken.LastStatus, taken.LastError = attempts, status, words
	done, err := p.Commit(ctx, []queue.Step{{Kind: queue.StepDeadLetter, Event: taken, Reason: reason}})
	s.must(err)
	if !done.Done[0] {
		s.t.Fatal("the event was not buried")
	}
	s.must(p.Release(ctx))
}

// deliver adds to the delivery log.
func (s *site) deliver(d queue.Delivery) {
	s.t.Helper()
	s.must(s.Queue.LogAttempt(s.t.Context(), org, d))
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// seed creates keys in every state, a webhook and a delivery history.
func (s *site) seed() {
	s.t.Helper()
	now := time.Now()
	at := func(d time.Duration) string { return now.Add(d).UTC().Format(time.RFC3339) }
	const day = 24 * time.Hour
	s.key("Staging import (old)", map[string]string{store.KeyRevokedAt: at(-9 * day), store.KeyCreatedAt: at(-210 * day)}, 1204, now.Add(-9*day))
	s.key("Contractor access", map[string]string{store.KeyExpiresAt: at(-2 * day), store.KeyCreatedAt: at(-92 * day)}, 88, now.Add(-3*day))
	s.key("ATS sync", map[string]string{store.KeyExpiresAt: at(3 * day), store.KeyCreatedAt: at(-87 * day)}, 40312, now.Add(-2*time.Minute))
	s.key("Production Integration", map[string]string{store.KeyCreatedAt: at(-41 * day)}, 1284907, now.Add(-4*time.Second))
	s.key("Development", nil, 0, time.Time{})
	s.webhook("https://hooks.acme.example/tenzo-interviews", "a secret of acme", true)
	for i, d := range []queue.Delivery{
		{Event: "interview.results", Attempt: 1, Status: 200, Duration: 184 * time.Millisecond},
		{Event: "note.finalized", Attempt: 1, Status: 503, Error: "the endpoint answered 503; only 200, 201, 202 and 204 acknowledge", Duration: 96 * time.Millisecond},
		{Event: "note.finalized", Attempt: 2, Error: "the endpoint gave no answer within 30 s", Duration: 30 * time.Second},
		{Event: "note.finalized", Attempt: 3, Status: 202, Duration: 1240 * time.Millisecond},
		{Event: "interview.results", Attempt: 0, Status: 204, Duration: 61 * time.Millisecond},
	} {
		d.ID = fmt.Sprintf("8c1f7a52-6a0e-4f0e-9c57-2d1f0f3b10%02d", i/3)
		d.At = now.Add(time.Duration(i-5) * 7 * time.Minute)
		s.deliver(d)
	}
	s.deadLetter("note.finalized", "note-7f3e2a91", queue.ReasonRetriesExhausted, 4, 500, "the endpoint answered 500")
	s.deadLetter("interview.results", "call-51d0c2", queue.ReasonRetriesExhausted, 4, 0, "the TLS certificate of hooks.acme.example has expired")
	s.deadLetter("note.finalized", "note-11aa", queue.ReasonBlocked, 0, 0, "the host resolves to 10.0.0.7, a private address")
}
