// Package api is the HTTP API of specification.md, section 10 as plain net/http handlers: thin faces over the services that the commands use too.
//
// The same handlers stand on Caddy's admin endpoint for any organization (Admin) and under Developer Tools for one (ServeOrganization).
// Which organization a request may touch is decided once, in scope, and no handler reads an organization from anywhere else.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// Services are what the handlers stand on.
type Services struct {
	Keys     *apikey.Service
	Webhooks *webhook.Service
	Queue    Queue        // *queue.Queue
	Tester   Tester       // *dispatcher.Tester
	Logger   *slog.Logger // slog.Default where nil
}

// Queue is what the API needs of the events in Redis. *queue.Queue is one.
type Queue interface {
	Publish(ctx context.Context, e queue.Event) (id string, err error)
	DeadLetters(ctx context.Context, org string, limit int, cursor string) (config.Page[queue.DeadLetter], error)
	Replay(ctx context.Context, r queue.Replay) (queue.ReplayResult, error)
	Deliveries(ctx context.Context, org string, limit int, cursor string) (config.Page[queue.Delivery], error)
}

// Tester makes one test attempt at the webhook of org with a sample of event. An attempt that was made is never an error, however it
// ended; errors are those of config or of the store. *dispatcher.Tester is one.
type Tester interface {
	Test(ctx context.Context, org, event string) (dispatcher.TestResult, error)
}

// API serves the HTTP API. It is safe for concurrent use.
type API struct {
	services Services
	admin    http.Handler
	tools    http.Handler
	troubled rate.Sometimes // keeps an outage from filling the log with what every request meets
}

// New returns the API over s.
func New(s Services) *API {
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	a := &API{services: s, troubled: rate.Sometimes{Interval: 10 * time.Second}}
	a.admin = localOnly(a.mux(adminFace))
	a.tools = a.mux(toolsFace)
	return a
}

// Admin serves the API for any organization, at /tenzo/… . Connections that are neither loopback nor a unix socket get 403, unless
// they are TLS with a client certificate, as Caddy's remote admin has it.
func (a *API) Admin() http.Handler { return a.admin }

// ServeOrganization serves the API for one organization, a valid id. path is what stands after `api/`, without a leading slash.
// Whether the caller may speak for org, and whether a write comes from the page's own origin, is the caller's business (package
// devtools).
func (a *API) ServeOrganization(w http.ResponseWriter, r *http.Request, org, path string) {
	r = r.WithContext(context.WithValue(r.Context(), orgKey{}, org))
	u := *r.URL
	u.Path, u.RawPath = "/"+path, ""
	r.URL = &u
	a.tools.ServeHTTP(w, r)
}

// orgKey is the context key of the one organization that a request under Developer Tools may touch.
type orgKey struct{}
