package api

// Errors as problem+json (RFC 9457).

import (
	"context"
	"errors"
	"net/http"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// fail answers with what err means. What is no refusal by a rule is trouble with Redis: the services have no other source of errors. Trouble
// is for the log, and so is what stands behind a refusal; neither is shown to whoever asked.
func (a *API) fail(w http.ResponseWriter, r *http.Request, pattern string, err error) {
	var refusal *problem.Error
	switch {
	case errors.As(err, &refusal):
		if refusal.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "5")
			if refusal.Error() != err.Error() {
				a.logTrouble(r, pattern, err)
			}
		}
	default:
		a.logTrouble(r, pattern, err)
		w.Header().Set("Retry-After", "1")
		refusal = &problem.Error{
			Status: http.StatusServiceUnavailable, Code: "store_unavailable",
			Detail: "the store gives no answer at the moment: try again shortly",
		}
	}
	problem.Write(w, r, refusal)
}

// logTrouble says why a request failed, unless whoever asked has left.
func (a *API) logTrouble(r *http.Request, pattern string, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return
	}
	a.troubled.Do(func() {
		a.services.Logger.Error("an api request failed", "method", r.Method, "route", pattern, "error", err)
	})
}
