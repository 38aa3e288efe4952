package api

// This file writes errors as problem+json (RFC 9457).

import (
	"context"
	"errors"
	"net/http"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// fail answers with the problem for err. An error that is not a refusal by a rule is a failure of
// Redis, because the services have no other source of errors. Failures, and the causes behind a
// refusal, go to the log and not to the client.
func (a *API) fail(w http.ResponseWriter, r *http.Request, pattern string, err error) {
	var refusal *problem.Error
	switch {
	case errors.As(err, &refusal):
		if refusal.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "5")
			if refusal.Error() != err.Error() {
				a.logFailure(r, pattern, err)
			}
		}
	default:
		a.logFailure(r, pattern, err)
		w.Header().Set("Retry-After", "1")
		refusal = &problem.Error{
			Status: http.StatusServiceUnavailable, Code: "store_unavailable",
			Detail: "the store does not answer at the moment: try again shortly",
		}
	}
	problem.Write(w, r, refusal)
}

// logFailure logs why a request failed, unless its client has gone away.
func (a *API) logFailure(r *http.Request, pattern string, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return
	}
	a.logLimit.Do(func() {
		a.services.Logger.Error("api request failed", "method", r.Method, "route", pattern, "error", err)
	})
}
