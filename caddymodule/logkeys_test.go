package caddymodule

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestMisplacedKeysShowInNoLog sends keys in every field of a request, on routes of every kind,
// with every form of log, at debug level, and then looks for them.
func TestMisplacedKeysShowInNoLog(t *testing.T) {
	r := startStore(t)
	key := createKey(t, r, "acme")
	upstream := startUpstream(t)
	misplaced := []string{}
	for i := range 8 {
		misplaced = append(misplaced, fmt.Sprintf("tenzo_pk_misplaced%dabcdefghijklm%d%d%d%d", i, i, i, i, i))
	}
	encoded := strings.ReplaceAll(misplaced[7], "_", "%5F")

	for name, format := range map[string]string{
		"default": "",
		"json":    "format json",
		"console": "format console",
		"filter": `format filter {
			wrap json
			fields {
				request>headers>User-Agent delete
				request>uri query {
					replace unrelated x
				}
				request>headers>X-Custom regexp foo bar
			}
		}`,
		"sampled": "sampling {\n interval 1s\n first 1000\n thereafter 1\n }",
	} {
		t.Run(name, func(t *testing.T) {
			guarded, failing, open, broken := harness.FreeAddr(t), harness.FreeAddr(t), harness.FreeAddr(t), harness.FreeAddr(t)
			folder := t.TempDir()
			logs := func(file string) string {
				return "log {\n output file " + filepath.Join(folder, file) + "\n" + format + "\n}"
			}
			load(t, `{
	admin off
	debug
	`+logs("default.log")+`
}
http://`+guarded+` {
	`+logs("guarded.log")+`
	tenzo_auth
	reverse_proxy `+upstream.addr()+`
}
http://`+failing+` {
	`+logs("failing.log")+`
	route {
		tenzo_auth {
			pass_errors
		}
		rewrite /rewritten{uri}
		reverse_proxy 127.0.0.1:1 # nobody listens: 502
	}
	handle_errors {
		respond "{err.status_code} {http.request.orig_uri}"
	}
}
http://`+open+` {
	`+logs("open.log")+`
	tenzo_strip
	reverse_proxy `+upstream.addr()+`
}
http://`+broken+` {
	`+logs("broken.log")+`
	tenzo_strip
	error "broken" 500
}`)
			c := client(t)
			for _, addr := range []string{guarded, failing, open, broken} {
				for _, authorization := range []string{"", "Bearer " + key.Secret, "Bearer " + misplaced[6]} {
					url := "http://" + addr + "/" + misplaced[0] + "/x?api_key=" + misplaced[1] + "&k=" + encoded
					request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("x"))
					if err != nil {
						t.Fatal(err)
					}
					request.Header.Set("X-Api-Key", misplaced[2])
					request.Header.Set("Referer", "https://example.com/?key="+misplaced[3])
					request.Header.Set("Cookie", "session=1; key="+misplaced[4])
					request.Header.Set("X-Custom", "foo "+misplaced[5])
					if authorization != "" {
						request.Header.Set("Authorization", authorization)
					}
					response, err := c.Do(request)
					if err != nil {
						t.Fatal(err)
					}
					_ = readAll(t, response)
				}
			}
			stopCaddy(t)
			var all strings.Builder
			for _, file := range []string{"default.log", "guarded.log", "failing.log", "open.log", "broken.log"} {
				content, err := os.ReadFile(filepath.Join(folder, file))
				if err != nil {
					t.Fatal(err)
				}
				all.Write(content)
				if !strings.Contains(string(content), "tenzo_pk_...0000") {
					t.Errorf("%s shows no hint: %s", file, content)
				}
			}
			log := all.String()
			for i, secret := range append(misplaced, key.Secret, encoded) {
				if at := strings.Index(log, secret); at >= 0 {
					t.Errorf("key %d was logged: …%s…", i, log[max(0, at-300):at])
				}
			}
			for _, of := range []string{"handled request", "upstream roundtrip", "rewrote request", "broken", "tenzo_pk_...7777"} {
				if !strings.Contains(log, of) {
					t.Errorf("there is no line with %q", of)
				}
			}
		})
		if t.Failed() {
			return
		}
	}
}

// The operator may ask for credentials in logs, and gets them.
func TestLogCredentialsShowsKeys(t *testing.T) {
	key := createKey(t, startStore(t), "acme")
	addr, file := harness.FreeAddr(t), filepath.Join(t.TempDir(), "access.log")
	load(t, `{
	admin off
	servers {
		log_credentials
	}
}
http://`+addr+` {
	log {
		output file `+file+`
	}
	tenzo_auth
	respond "ok"
}`)
	get(t, client(t), "http://"+addr, key.Secret)
	stopCaddy(t)
	if content, err := os.ReadFile(file); err != nil || !strings.Contains(string(content), key.Secret) {
		t.Errorf("%s, %v", content, err)
	}
}

// Caddy's private fields have the names and types that logkeys.go expects.
func TestPrivateFieldsOfCaddy(t *testing.T) {
	if privateField[*caddy.Config](&caddy.Context{}, "cfg") == nil {
		t.Error("caddy.Context has no cfg")
	}
	if !cutKeysIn(new(caddy.CustomLog)) {
		t.Error("caddy.CustomLog has other fields")
	}
	if privateField[string](&caddyhttp.Server{}, "logger") != nil || privateField[string](&caddyhttp.Server{}, "no such field") != nil {
		t.Error("a field of another type or name was found")
	}
}
