// Package api is the HTTP API of contract section 10 as plain net/http handlers: thin faces over the services that the commands use too.
//
// The same handlers stand on Caddy's admin endpoint for any organization (Admin) and under Developer Tools for one (ServeOrganization).
// Which organization a request may touch is decided once, in scope, and no handler reads an organization from anywhere else.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

// Services are what the handlers stand on.
type Services struct {
	Keys     *config.Keys
	Webhooks *config.Webhooks
	Queue    Queue  // events, dead letters and deliveries; *queue.Queue
	Test     Tester // sends one test delivery
	Logger   *slog.Logger
}

// Queue is what the API needs of the events in Redis.
type Queue interface{}

// Tester makes one test attempt at the webhook of org with a sample of event. An attempt that was made is never an error, however it
// ended; errors are those of config or of the store.
type Tester func(ctx context.Context, org, event string) (TestResult, error)

// TestResult is how a test attempt went.
type TestResult struct {
	Acknowledged bool
	Status       int    // 0: no answer came
	Error        string // why it was not acknowledged, in words
	Duration     time.Duration
}

// API serves the HTTP API. It is safe for concurrent use.
type API struct {
	services Services
}

// New returns the API over s.
func New(s Services) *API { return &API{services: s} }

// Admin serves the API for any organization, at /tenzo/… . Connections that are neither loopback nor a unix socket get 403, unless
// they are TLS with a client certificate, as Caddy's remote admin has it.
func (a *API) Admin() http.Handler { return http.NotFoundHandler() }

// ServeOrganization serves the API for one organization. path is what stands after `api/`, without a leading slash. Whether the
// caller may speak for org, and whether a write comes from the page's own origin, is the caller's business (package devtools).
func (a *API) ServeOrganization(w http.ResponseWriter, r *http.Request, org, path string) {
	http.NotFound(w, r)
}
