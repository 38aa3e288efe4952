package devtools

// Where a request leads, read from the end of its path, since the handler does not know where it is mounted.

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/api"
)

// target is what a path leads to: a route of the API, a file, or the page where both are unset.
type target struct {
	api  bool
	name string // what stands after `api/`, or the name of a file; those that do not exist too

	// behindAPI says that the page's path has a segment `api`. A mount may, so that the page shows there; a path that is mistaken for one of the
	// API's ends so, too.
	behindAPI bool
}

// apiRoots are the first segments of the API's routes.
var apiRoots = api.Roots()

// fileTypes are the names' ends by which browsers and crawlers ask for files that nobody linked, such as /favicon.ico. A mount does not
// end so, where it may have any other dot: /v1.2, /tools.example.
var fileTypes = []string{".css", ".gif", ".htm", ".html", ".ico", ".jpg", ".jpeg", ".js", ".json", ".map", ".php", ".png", ".svg", ".txt", ".webmanifest", ".xml"}

// locate reads a path. The first segment `api` that one of the API's routes follows begins the API: the mount may have one of its own
// before it. Where none does, all behind the last `api` is the API's to refuse: no part of such a path may pass for a route. What ends
// with a slash is the page.
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
	case isFile(last), slices.Contains(segments, ".."): // no mount is named so
		return target{name: last}
	default:
		return target{}
	}
}

// isFile says whether the last segment of a path is the name of a file, and not a mount without its slash.
func isFile(name string) bool {
	return strings.HasPrefix(name, ".") || slices.Contains(fileTypes, strings.ToLower(path.Ext(name)))
}

func escapeSegment(s string) string { return url.PathEscape(s) }
