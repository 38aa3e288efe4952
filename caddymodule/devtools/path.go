package devtools

// Where a request leads, read from the end of its path, since the handler does not know where it is mounted.

import (
	"net/url"
	"slices"
	"strings"
)

// target is what a path leads to: a route of the API, a file, or the page where both are unset.
type target struct {
	api  bool
	name string // what stands after `api/`, or the name of a file; files that do not exist too
}

// apiRoots are the first segments of the API's routes.
var apiRoots = []string{"keys", "webhook", "dead-letters", "openapi.json"}

// locate reads a path. The first segment `api` that one of the API's routes follows begins the API: the mount may have one of its own
// before it. What ends with a slash is the page; beside it only files have a dot in their names.
func locate(path string) target {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	n := len(segments)
	for i := range n - 1 {
		if segments[i] == "api" && slices.Contains(apiRoots, segments[i+1]) {
			return target{api: true, name: strings.Join(segments[i+1:], "/")}
		}
	}
	last := segments[n-1]
	switch {
	case last == "":
		return target{}
	case n > 1 && segments[n-2] == "assets":
		return target{name: "assets/" + last}
	case slices.Contains(segments[:n-1], "api"):
		return target{api: true, name: last} // no route: the API says so
	case strings.Contains(last, "."):
		return target{name: last}
	default:
		return target{}
	}
}

func escapeSegment(s string) string { return url.PathEscape(s) }
