// Package api implements the HTTP API (specification.md, section 10) as plain net/http handlers:
// thin layers over the services that the commands use too.
//
// The same handlers have two surfaces: Caddy's admin endpoint for any organization (Admin) and
// Developer Tools for one (ServeOrganization). scopeOf alone decides which organization a request
// may access; no handler reads an organization from anywhere else.
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

// Services are the services behind the handlers.
type Services struct {
	Keys     *apikey.Service
	Webhooks *webhook.Service
	Queue    Queue        // *queue.Queue
	Tester   Tester       // *dispatcher.Tester
	Logger   *slog.Logger // default: slog.Default()
}

// Queue gives access to the events in Redis. *queue.Queue implements it.
type Queue interface {
	Publish(ctx context.Context, e queue.Event) (id string, err error)
	Warnings(ctx context.Context, e queue.Event) []queue.Warning
	DeadLetters(ctx context.Context, org string, limit int, cursor string) (config.Page[queue.DeadLetter], error)
	Replay(ctx context.Context, r queue.Replay) (queue.ReplayResult, error)
	Deliveries(ctx context.Context, org string, limit int, cursor string) (config.Page[queue.Delivery], error)
}

// Tester makes one test attempt at the webhook of org with a sample of event. A failed attempt is a
// result and not an error; errors come from config or the store. *dispatcher.Tester implements it.
type Tester interface {
	Test(ctx context.Context, org, event string) (dispatcher.TestResult, error)
}

// API serves the HTTP API. It is safe for concurrent use.
type API struct {
	services Services
	admin    http.Handler
	tools    http.Handler
	logLimit rate.Sometimes // an outage must not log a line for each request
}

// New returns the API over s.
func New(s Services) *API {
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	a := &API{services: s, logLimit: rate.Sometimes{Interval: 10 * time.Second}}
	a.admin = localOnly(a.mux(adminSurface))
	a.tools = a.mux(toolsSurface)
	return a
}

// Admin serves the API for any organization, at /tenzo/… . Connections that are neither loopback
// nor a unix socket get 403, except TLS connections with a client certificate (Caddy's remote
// admin).
func (a *API) Admin() http.Handler { return a.admin }

// ServeOrganization serves the API for one organization, a valid id. path is the part of the URL
// path after `api/`. The caller (package devtools) decides whether the request may act for org, and
// whether a write comes from the page's own origin.
func (a *API) ServeOrganization(w http.ResponseWriter, r *http.Request, org, path string) {
	r = r.WithContext(context.WithValue(r.Context(), orgKey{}, org))
	u := *r.URL
	u.Path, u.RawPath = "/"+path, ""
	r.URL = &u
	a.tools.ServeHTTP(w, r)
}

// orgKey is the context key of the organization that a request under Developer Tools may access.
type orgKey struct{}
