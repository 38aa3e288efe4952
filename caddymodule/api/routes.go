package api

// Which path is answered by what, on both faces.

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// face is where the API stands.
type face int

const (
	adminFace face = iota // any organization, at /tenzo/…
	toolsFace             // one organization, at api/… (here: /…)
)

// storeTimeout bounds what one request waits for Redis. Testing a webhook has its own, longer bounds.
const storeTimeout = 10 * time.Second

// scope is what a request may touch.
type scope struct {
	face face
	org  string // empty only on routes of the admin face that concern all organizations
}

// handle answers a request within a scope. An error it returns has not been answered yet.
type handle func(w http.ResponseWriter, r *http.Request, s scope) error

// route is one path and its methods.
type route struct {
	path    string // below /tenzo/orgs/{org}/ or /tenzo/
	ofOrg   bool   // concerns one organization, so that the admin face names it in the path
	admin   bool   // stands on the admin face only
	methods map[string]handle
}

// routes lists every route of the API; the OpenAPI document describes the same ones (a test compares them).
func (a *API) routes() []route {
	return []route{
		{path: "keys", ofOrg: true, methods: map[string]handle{"GET": a.listKeys, "POST": a.createKey}},
		{path: "keys/{id}", ofOrg: true, methods: map[string]handle{"DELETE": a.revokeKey}},
		{path: "webhook", ofOrg: true, methods: map[string]handle{
			"GET": a.getWebhook, "PUT": a.putWebhook, "PATCH": a.patchWebhook, "DELETE": a.deleteWebhook,
		}},
		{path: "webhook/test", ofOrg: true, methods: map[string]handle{"POST": a.testWebhook}},
		{path: "webhook/deliveries", ofOrg: true, methods: map[string]handle{"GET": a.listDeliveries}},
		{path: "events", ofOrg: true, admin: true, methods: map[string]handle{"POST": a.publishEvent}},
		{path: "dead-letters", methods: map[string]handle{"GET": a.listDeadLetters}},
		{path: "dead-letters/replay", methods: map[string]handle{"POST": a.replayDeadLetters}},
		{path: "openapi.json", methods: map[string]handle{"GET": a.getOpenAPI}},
	}
}

// Roots returns the first segments of the paths that ServeOrganization takes, each once.
func Roots() []string {
	var roots []string
	for _, rt := range new(API).routes() {
		if root, _, _ := strings.Cut(rt.path, "/"); !rt.admin && !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return roots
}

// pattern is the path of a route on a face, as http.ServeMux and the OpenAPI document write it.
func (rt route) pattern(f face) string {
	switch {
	case f == toolsFace:
		return "/" + rt.path
	case rt.ofOrg:
		return "/tenzo/orgs/{org}/" + rt.path
	default:
		return "/tenzo/" + rt.path
	}
}

// mux builds the handler of a face.
func (a *API) mux(f face) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range a.routes() {
		if rt.admin && f != adminFace {
			continue
		}
		mux.Handle(rt.pattern(f), a.serve(f, rt))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		// ServeMux would answer a path that is not clean with a redirect, which is wrong where a prefix was taken away.
		if _, pattern := mux.Handler(r); pattern == "" || path.Clean(r.URL.Path) != r.URL.Path {
			problem.Write(w, r, &problem.Error{Status: http.StatusNotFound, Code: "not_found", Detail: "there is nothing at this path"})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// serve answers one route: method, scope, and what became of it.
func (a *API) serve(f face, rt route) http.Handler {
	allowed := slices.Sorted(maps.Keys(rt.methods))
	if rt.methods["GET"] != nil {
		allowed = slices.Insert(allowed, slices.Index(allowed, "GET")+1, "HEAD")
	}
	allow := strings.Join(allowed, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		h := rt.methods[method]
		if h == nil {
			w.Header().Set("Allow", allow)
			problem.Write(w, r, &problem.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "this path takes " + allow})
			return
		}
		s, err := scopeOf(f, rt, r)
		if err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), a.timeout(rt))
			defer cancel()
			err = h(w, r.WithContext(ctx), s)
		}
		if err != nil {
			a.fail(w, r, rt.pattern(f), err)
		}
	})
}

// timeout is how long a route may take.
func (a *API) timeout(rt route) time.Duration {
	if rt.path == "webhook/test" {
		return storeTimeout + time.Minute // an attempt may take the webhook's whole time-out
	}
	return storeTimeout
}

// scopeOf decides what a request may touch. Under Developer Tools that is the caller's organization and nothing else, whatever the
// request says.
func scopeOf(f face, rt route, r *http.Request) (scope, error) {
	if f == toolsFace {
		org, _ := r.Context().Value(orgKey{}).(string)
		if !config.ValidID(org) {
			return scope{}, &problem.Error{Status: http.StatusForbidden, Code: "no_organization", Detail: "the request belongs to no organization"}
		}
		return scope{face: f, org: org}, nil
	}
	if !rt.ofOrg {
		return scope{face: f}, nil
	}
	org := r.PathValue("org")
	return scope{face: f, org: org}, inAddress(config.CheckOrg(org))
}

// inAddress makes the refusal of a value one of a path or a query. That is 400; in a body it is 422.
func inAddress(err error) error {
	var refusal *problem.Error
	if !errors.As(err, &refusal) {
		return err
	}
	bad := *refusal
	bad.Status = http.StatusBadRequest
	return &bad
}

// localOnly refuses connections from elsewhere: whoever reaches these paths administers every organization. An address that is not
// known counts as elsewhere.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r) && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0) {
			w.Header().Set("Cache-Control", "no-store")
			problem.Write(w, r, &problem.Error{Status: http.StatusForbidden, Code: "not_local", Detail: "these paths answer on loopback and unix sockets only, or over Caddy's remote admin"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local says whether a request arrived on a loopback address or a unix socket.
func local(r *http.Request) bool {
	switch addr := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		return addr.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	default:
		return false
	}
}
