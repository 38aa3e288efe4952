package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// mountsOf returns the paths, each with a trailing slash, under which the routes of a server lead
// to handler: the path matchers of the innermost route that has any, or the root. It returns nil if
// the paths cannot be known, such as those of a regular expression or of a named route.
func mountsOf(routes caddyhttp.RouteList, handler caddyhttp.MiddlewareHandler) []string {
	found, mounts := findMounts(routes, handler, []string{"/"})
	if !found {
		return nil
	}
	return mounts
}

// findMounts searches routes that are themselves reached under mounts; nil stands for unknown ones.
func findMounts(routes caddyhttp.RouteList, handler caddyhttp.MiddlewareHandler, mounts []string) (found bool, at []string) {
	for _, route := range routes {
		for _, h := range route.Handlers {
			if h == handler {
				return true, narrow(mounts, route.MatcherSets)
			}
			if sub, ok := h.(*caddyhttp.Subroute); ok {
				if found, at := findMounts(sub.Routes, handler, narrow(mounts, route.MatcherSets)); found {
					return true, at
				}
			}
		}
	}
	return false, nil
}

// narrow returns the mounts of a route with these matchers, within mounts.
func narrow(mounts []string, sets caddyhttp.MatcherSets) []string {
	if len(sets) == 0 {
		return mounts
	}
	var out []string
	for _, set := range sets {
		patterns, known := pathPatterns(set)
		switch {
		case !known || mounts == nil:
			return nil
		case patterns == nil: // matches by something else than the path
			out = append(out, mounts...)
		}
		for _, p := range patterns {
			prefix, open := strings.CutSuffix(p, "*")
			switch {
			case strings.ContainsAny(prefix, "*{%"):
				return nil
			case open && strings.Trim(prefix, "/") == "":
				out = append(out, mounts...)
			case open:
				out = append(out, strings.TrimSuffix(prefix, "/")+"/")
			case strings.HasSuffix(prefix, "/"):
				return nil // a single path, under which nothing of the page would be reached
			} // else the mount without its slash, which another pattern has with it
		}
	}
	return out
}

// pathPatterns returns the patterns of a set's path matcher, nil without one. A regular expression
// or a CEL expression makes the paths unknown.
func pathPatterns(set caddyhttp.MatcherSet) (patterns []string, known bool) {
	for _, matcher := range set {
		switch m := matcher.(type) {
		case *caddyhttp.MatchPath:
			patterns = append(patterns, *m...)
		case caddyhttp.MatchPath:
			patterns = append(patterns, m...)
		case *caddyhttp.MatchPathRE, caddyhttp.MatchPathRE, *caddyhttp.MatchExpression:
			return nil, false
		}
	}
	return patterns, true
}
