package caddymodule

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// Developer Tools answers unknown paths with 404, wherever the routes of a site mount it.
func TestMountsOfDeveloperTools(t *testing.T) {
	startStore(t)
	const tools = "tenzo_developer_tools {\norg {vars.org}\n}"
	for _, c := range []struct {
		site string
		want map[string]int
	}{
		{"vars org acme\n" + tools, map[string]int{
			"/": 200, "/api/keys": 200, "/assets/app.js": 200, "/config/": 404, "/config": 404, "/api/": 404, "/tenzo/orgs/x/keys": 404, "/tools/": 404,
		}},
		{"vars org acme\nhandle_path /tools/* {\n" + tools + "\n}", map[string]int{
			"/tools/": 200, "/tools/api/keys": 200, "/tools/config/": 404, "/tools/api/": 404, "/tools/x/api/keys": 404,
		}},
		{"vars org acme\nredir /tools /tools/ 308\nhandle_path /tools/* {\n" + tools + "\n}", map[string]int{"/tools": 308, "/tools/": 200}},
		{"vars org acme\nhandle /tools* {\n" + tools + "\n}", map[string]int{
			"/tools": 308, "/tools/": 200, "/TOOLS/api/keys": 200, "/tools/config/": 404, "/toolshed/": 404,
		}},
		{"vars org acme\n@tools path /tools /tools/* /other/*\ntenzo_developer_tools @tools {\norg {vars.org}\n}", map[string]int{
			"/tools": 308, "/tools/": 200, "/other/": 200, "/other/api/keys": 200, "/other/x/": 404,
		}},
		{"vars org acme\n@get method GET\nhandle @get {\n" + tools + "\n}", map[string]int{"/": 200, "/x/": 404}},
		{"vars org acme\nhandle /a/* {\nhandle /a/b/* {\n" + tools + "\n}\n}", map[string]int{"/a/b/": 200, "/a/b/c/": 404}},
		// The paths of a regular expression are unknown: every path with a trailing slash may be
		// the page.
		{"vars org acme\n@re path_regexp ^/t[0-9]/\nhandle @re {\n" + tools + "\n}", map[string]int{"/t1/": 200, "/t2/api/keys": 200}},
	} {
		addr := harness.FreeAddr(t)
		load(t, fmt.Sprintf("{\nadmin off\n}\nhttp://%s {\n%s\n}", addr, c.site))
		client := client(t)
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for path, want := range c.want {
			response, _ := get(t, client, "http://"+addr+path, "")
			if response.StatusCode != want {
				t.Errorf("%s: %s is %d, want %d", c.site, path, response.StatusCode, want)
			}
		}
	}
}
