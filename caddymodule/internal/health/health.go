// Package health answers /livez and /readyz, the same in the gateway and in `dispatch`
// (specification.md, section 8).
//
// /livez is 200 while the process serves. /readyz is 503 while the process cannot work yet or is
// stopping. Otherwise it is 200 and lists current problems: a later outage must not take away a
// process that still serves what it has cached.
package health

import (
	"encoding/json"
	"maps"
	"net/http"
)

// Report is what /readyz says.
type Report struct {
	Ready    bool              // whether the process should get traffic
	Problems map[string]string // current problems in words, by component
}

// Join combines the reports of several parts of a process, which is ready if all of them are.
func Join(reports ...Report) Report {
	joined := Report{Ready: true, Problems: map[string]string{}}
	for _, r := range reports {
		joined.Ready = joined.Ready && r.Ready
		maps.Copy(joined.Problems, r.Problems)
	}
	return joined
}

// Serve answers requests for /livez and /readyz. It reports whether r was one.
func Serve(w http.ResponseWriter, r *http.Request, report func() Report) bool {
	switch r.URL.Path {
	case "/livez":
		answer(w, r, http.StatusOK, body{Live: true})
	case "/readyz":
		now := report()
		status := http.StatusOK
		if !now.Ready {
			status = http.StatusServiceUnavailable
		}
		if now.Problems == nil {
			now.Problems = map[string]string{}
		}
		answer(w, r, status, body{Ready: &now.Ready, Problems: &now.Problems})
	default:
		return false
	}
	return true
}

// body is the JSON body of an answer.
type body struct {
	Live     bool               `json:"live,omitempty"`
	Ready    *bool              `json:"ready,omitempty"`
	Problems *map[string]string `json:"problems,omitempty"`
}

func answer(w http.ResponseWriter, r *http.Request, status int, b body) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	if err := json.NewEncoder(w).Encode(b); err != nil {
		return // the client has gone away
	}
}
