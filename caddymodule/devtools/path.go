package devtools

// This file finds the target of a request from the end of its path, because the handler does not
// know where it is mounted.

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/api"
)

// target is the target of a path: a route of the API, a file, or, if both are unset, the page.
type target struct {
	api  bool
	name string // the path after `api/`, or the name of a file, whether it exists or not

	// behindAPI reports that the page's path has a segment `api`. It may belong to the mount, or
	// the path may be a mistaken path of the API.
	behindAPI bool
}

// apiRoots are the first segments of the API's routes.
var apiRoots = api.Roots()

// fileTypes are extensions of files that browsers and crawlers request unasked, such as
// /favicon.ico. A mount does not end with one of them, but may contain other dots: /v1.2,
// /tools.example.
var fileTypes = []string{".css", ".gif", ".htm", ".html", ".ico", ".jpg", ".jpeg", ".js", ".json", ".map", ".php", ".png", ".svg", ".txt", ".webmanifest", ".xml"}

// locate finds the target of a path. The API begins at the first segment `api` that is followed by
// the first segment of a route; the mount may contain another `api` before it. Without a route,
// everything after the last `api` is an unknown path of the API: no part of it may be taken for a
// route. A path with a trailing slash is the page.
func locate(path string) target {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	n := len(segments)
	lastAPI := -1
	for i := range n - 1 {
		if segments[i] != "api" {
			continue
		}
		lastAPI = i
		if slices.Contains(apiRoots, segments[i+1]) {
			return target{api: true, name: strings.Join(segments[i+1:], "/")}
		}
	}
	last := segments[n-1]
	switch {
	case last == "":
		return target{behindAPI: lastAPI >= 0}
	case n > 1 && segments[n-2] == "assets":
		return target{name: "assets/" + last}
	case lastAPI >= 0:
		return target{api: true, name: strings.Join(segments[lastAPI+1:], "/")}
	case isFile(last), slices.Contains(segments, ".."): // neither names a mount
		return target{name: last}
	default:
		return target{}
	}
}

// locateUnder finds the target of a path below one of the mounts, the longest that fits.
func locateUnder(mounts []string, path string) target {
	rest, below := "", false
	for _, m := range mounts {
		n := len(m) // Caddy's path matchers ignore case
		switch {
		case len(path) >= n && strings.EqualFold(path[:n], m) && (!below || len(path)-n < len(rest)):
			rest, below = path[n:], true
		case !below && strings.EqualFold(path+"/", m):
			return target{} // the page without its slash
		}
	}
	name, isAPI := strings.CutPrefix(rest, "api/")
	switch {
	case isAPI:
		return target{api: true, name: name}
	case below:
		return target{name: rest} // "" is the page
	default:
		return target{name: path}
	}
}

// isFile reports whether the last segment of a path names a file, rather than a mount without its
// trailing slash.
func isFile(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(fileTypes, strings.ToLower(path.Ext(name)))
}

func escapeSegment(s string) string { return url.PathEscape(s) }
