package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// go-redis checks once a second whether a lost server answers again, and only then sees
		// that its pool is closed.
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// env is the API on both surfaces, with real services and a real Redis.
type env struct {
	t        *testing.T
	redis    *harness.Redis
	raw      *redis.Client
	store    *store.Store
	keys     *apikey.Service
	webhooks *webhook.Service
	queue    *queue.Queue
	api      *API
	server   *httptest.Server
	log      *bytes.Buffer
	test     func(org, event string) (dispatcher.TestResult, error)
	// Is called with every answer; may be nil.
	check func(method, pattern string, status int, header http.Header, body []byte)
}

// Test refuses a missing event as *dispatcher.Tester does.
func (e *env) Test(_ context.Context, org, event string) (dispatcher.TestResult, error) {
	if event == "" {
		return dispatcher.TestResult{}, problem.Invalid("event", "missing_event", "name the event")
	}
	return e.test(org, event)
}

// newEnv serves the admin surface at /tenzo/… and that of an organization at
// /tools/{organization}/….
func newEnv(t *testing.T) *env {
	t.Helper()
	e := &env{t: t, redis: harness.StartRedis(t), log: &bytes.Buffer{}}
	e.redis.Mark()
	e.raw = e.redis.Client(t)
	st, err := store.Open(store.Options{URL: e.redis.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	e.store = st
	e.keys = apikey.NewService(st)
	e.webhooks = webhook.NewService(st, &address.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	e.queue = queue.New(st, queue.Options{})
	e.api = New(Services{Keys: e.keys, Webhooks: e.webhooks, Queue: e.queue, Tester: e, Logger: slog.New(slog.NewTextHandler(e.log, nil))})
	serve := func(w http.ResponseWriter, r *http.Request) {
		rest, tools := strings.CutPrefix(r.URL.Path, "/tools/")
		if !tools {
			e.api.Admin().ServeHTTP(w, r)
			return
		}
		org, path, _ := strings.Cut(rest, "/")
		if strings.HasPrefix(r.URL.EscapedPath(), "/tools/a%2Fb/") {
			org, path = "a/b", strings.TrimPrefix(rest, "a/b/")
		}
		e.api.ServeOrganization(w, r, org, path)
	}
	e.server = httptest.NewServer(http.HandlerFunc(serve))
	t.Cleanup(func() {
		e.server.CloseClientConnections()
		e.server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return e
}

// answer is the answer to a request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// json decodes the body.
func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	return v
}

// items are the items of a list.
func (a answer) items(t *testing.T) []map[string]any {
	t.Helper()
	var v struct{ Items []map[string]any }
	if err := json.Unmarshal(a.body, &v); err != nil || v.Items == nil {
		t.Fatalf("%d %q: %v", a.status, a.body, err)
	}
	return v.Items
}

// call makes a request. A non-empty body is sent as JSON. The pairs in header take precedence.
func (e *env) call(method, path, body string, header ...string) answer {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, e.server.URL+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // follows no redirects
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	a := answer{resp.StatusCode, resp.Header, text}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		e.t.Errorf("%s %s: Cache-Control is %q", method, path, got)
	}
	if a.status >= 400 && a.header.Get("Content-Type") != "application/problem+json" {
		e.t.Errorf("%s %s: an error is %q", method, path, a.header.Get("Content-Type"))
	}
	if e.check != nil {
		e.check(method, path, a.status, a.header, text)
	}
	return a
}

// expect makes a request and fails the test if the status differs.
func (e *env) expect(status int, method, path, body string, header ...string) answer {
	e.t.Helper()
	a := e.call(method, path, body, header...)
	if a.status != status {
		e.t.Fatalf("%s %s %.200s: %d %s, not %d", method, path, body, a.status, a.body, status)
	}
	return a
}

// refused makes a request that must be refused with this status, code and field.
func (e *env) refused(status int, code, field, method, path, body string, header ...string) {
	e.t.Helper()
	a := e.call(method, path, body, header...)
	got := a.json(e.t)
	gotField, _ := got["field"].(string)
	if a.status != status || got["code"] != code || gotField != field || got["status"] != float64(status) || got["detail"] == "" || got["title"] != http.StatusText(status) {
		e.t.Errorf("%s %s %.200s: %d %s, not %d %q %q", method, path, body, a.status, a.body, status, code, field)
	}
}

// deadLetter creates a dead letter.
func (e *env) addDeadLetter(org, id, reason string) {
	e.t.Helper()
	ctx := e.t.Context()
	_, err := e.queue.Publish(ctx, queue.Event{Name: "note.finalized", OrgID: org, ID: id, Payload: []byte(`{"noteId":"n"}`)})
	e.must(err)
	p := e.queue.NewProcess()
	_, err = p.Register(ctx)
	e.must(err)
	batch, err := p.Dequeue(ctx, 10, 1<<20)
	e.must(err)
	if len(batch.Events) != 1 {
		e.t.Fatalf("took %d events", len(batch.Events))
	}
	taken := &batch.Events[0]
	taken.Attempts, taken.LastStatus, taken.LastError = 4, 500, "the endpoint answered 500"
	done, err := p.Commit(ctx, []queue.Step{{Kind: queue.StepDeadLetter, Event: taken, Reason: reason}})
	e.must(err)
	if !done.Done[0] {
		e.t.Fatal("the event was not buried")
	}
	e.must(p.Release(ctx))
}

// webhook sets the webhook of an organization.
func (e *env) webhook(org string, active bool) {
	e.t.Helper()
	url, secret := "https://hooks.example/"+org, "secret of "+org
	_, err := e.webhooks.Set(e.t.Context(), org, webhook.Change{URL: &url, Secret: &secret, Active: &active}, false)
	e.must(err)
}

// dead returns the ids of the dead letters of an organization, newest first.
func (e *env) dead(org string) []string {
	e.t.Helper()
	page, err := e.queue.DeadLetters(e.t.Context(), org, 1000, "")
	e.must(err)
	var ids []string
	for _, d := range page.Items {
		ids = append(ids, d.ID)
	}
	return ids
}

func (e *env) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}
