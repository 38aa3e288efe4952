package api

// This file maps paths to handlers, on both surfaces.

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

// surface is where the API is served.
type surface int

const (
	adminSurface surface = iota // any organization, at /tenzo/…
	toolsSurface                // one organization, at api/… (here: /…)
)

// storeTimeout bounds how long one request waits for Redis. Testing a webhook has a longer timeout.
const storeTimeout = 10 * time.Second

// scope is what a request may access.
type scope struct {
	surface surface
	org     string // empty only on admin routes that concern all organizations
}

// handle answers a request within a scope. If it returns an error, it has not written an answer.
type handle func(w http.ResponseWriter, r *http.Request, s scope) error

// route is one path and its methods.
type route struct {
	path    string // below /tenzo/orgs/{org}/ or /tenzo/
	ofOrg   bool   // concerns one organization, which the admin surface has in the path
	admin   bool   // only on the admin surface
	methods map[string]handle
}

// routes lists every route of the API. A test compares them with the OpenAPI document.
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

// Roots returns the first segments of the paths of ServeOrganization, each once.
func Roots() []string {
	var roots []string
	for _, rt := range new(API).routes() {
		if root, _, _ := strings.Cut(rt.path, "/"); !rt.admin && !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return roots
}

// pattern returns the path of a route on a surface, in the syntax of http.ServeMux and OpenAPI.
func (rt route) pattern(s surface) string {
	switch {
	case s == toolsSurface:
		return "/" + rt.path
	case rt.ofOrg:
		return "/tenzo/orgs/{org}/" + rt.path
	default:
		return "/tenzo/" + rt.path
	}
}

// mux returns the handler of a surface.
func (a *API) mux(s surface) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range a.routes() {
		if rt.admin && s != adminSurface {
			continue
		}
		mux.Handle(rt.pattern(s), a.serve(s, rt))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		// ServeMux would redirect a path that is not clean, to a wrong place if a prefix was
		// removed.
		if _, pattern := mux.Handler(r); pattern == "" || path.Clean(r.URL.Path) != r.URL.Path {
			problem.Write(w, r, &problem.Error{Status: http.StatusNotFound, Code: "not_found", Detail: "there is nothing at this path"})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// serve returns the handler of one route: it checks the method, finds the scope, and answers
// errors.
func (a *API) serve(on surface, rt route) http.Handler {
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
			problem.Write(w, r, &problem.Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "allowed methods: " + allow})
			return
		}
		s, err := scopeOf(on, rt, r)
		if err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), a.timeout(rt))
			defer cancel()
			err = h(w, r.WithContext(ctx), s)
		}
		if err != nil {
			a.fail(w, r, rt.pattern(on), err)
		}
	})
}

// timeout returns how long a route may take.
func (a *API) timeout(rt route) time.Duration {
	if rt.path == "webhook/test" {
		return storeTimeout + time.Minute // an attempt may take the whole timeout of webhooks
	}
	return storeTimeout
}

// scopeOf decides what a request may access. Under Developer Tools that is the caller's
// organization and nothing else, whatever the request contains.
func scopeOf(on surface, rt route, r *http.Request) (scope, error) {
	if on == toolsSurface {
		org, _ := r.Context().Value(orgKey{}).(string)
		if !config.ValidID(org) {
			return scope{}, &problem.Error{Status: http.StatusForbidden, Code: "no_organization", Detail: "the request belongs to no organization"}
		}
		return scope{surface: on, org: org}, nil
	}
	if !rt.ofOrg {
		return scope{surface: on}, nil
	}
	org := r.PathValue("org")
	return scope{surface: on, org: org}, asBadRequest(config.CheckOrg(org))
}

// inAddress makes the refusal of a value one of a path or a query. That is 400; in a body it is
// 422.
func asBadRequest(err error) error {
	var refusal *problem.Error
	if !errors.As(err, &refusal) {
		return err
	}
	bad := *refusal
	bad.Status = http.StatusBadRequest
	return &bad
}

// localOnly refuses connections from other machines, because these paths administer every
// organization. A connection with an unknown address counts as one from another machine.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !local(r) && (r.TLS == nil || len(r.TLS.PeerCertificates) == 0) {
			w.Header().Set("Cache-Control", "no-store")
			problem.Write(w, r, &problem.Error{Status: http.StatusForbidden, Code: "not_local", Detail: "these paths are served only on loopback and unix sockets, and over Caddy's remote admin"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local reports whether a request arrived on a loopback address or a unix socket.
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
