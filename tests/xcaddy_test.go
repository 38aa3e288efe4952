package tests

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// xcaddyScript runs ./xcaddy.sh in a clean copy of the repository, with free ports and with
// programs in front of the PATH.
type xcaddyScript struct {
	folder              string
	site, tools, status string // ports
	env                 []string
}

func newXcaddyScript(t *testing.T, path string, env ...string) *xcaddyScript {
	t.Helper()
	port := func() string { return strconv.Itoa(harness.FreePort(t)) }
	x := &xcaddyScript{folder: cleanCopy(t), site: port(), tools: port(), status: port()}
	x.env = append(withoutTenzo(os.Environ()),
		"PATH="+path+":"+os.Getenv("PATH"), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir(),
		"TENZO_GATEWAY_PORT="+x.site, "TENZO_TOOLS_PORT="+x.tools, "TENZO_STATUS_PORT="+x.status,
		"TENZO_ADMIN_PORT="+port(), "TENZO_EMBEDDED_ADDR="+harness.FreeAddr(t))
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY", "GOTOOLCHAIN", "GONOSUMDB", "GOSUMDB"} {
		x.env = append(x.env, name+"="+goEnv(t, name))
	}
	x.env = append(x.env, env...)
	return x
}

func (x *xcaddyScript) invocation(args ...string) harness.Command {
	return harness.Command{
		Name: "xcaddy.sh " + args[0], Path: "/usr/bin/env", Args: slices.Concat([]string{"-i"}, x.env, []string{"./xcaddy.sh"}, args), Dir: x.folder,
	}
}

// build runs `./xcaddy.sh build` and returns the path of the binary.
func (x *xcaddyScript) build(t *testing.T, args ...string) string {
	t.Helper()
	built := harness.Start(t, x.invocation(append([]string{"build"}, args...)...))
	if status := built.Wait(8 * time.Minute); status != 0 {
		t.Fatalf("xcaddy.sh build ended with status %d:\n%s", status, built.Log())
	}
	return filepath.Join(x.folder, "bin/tenzo-gateway")
}

// TestXcaddy builds in a clean copy, and runs `./xcaddy.sh run` there, as a new user does first,
// with other ports than the default ones. The printed curl line is admitted, and a request without
// a key is not. An xcaddy on the PATH is not used, because no plugin is asked for.
func TestXcaddy(t *testing.T) {
	t.Parallel()
	x := newXcaddyScript(t, program(t, "xcaddy", "#!/bin/sh\nexit 1\n"))
	site, tools, status := x.site, x.tools, x.status
	binary := x.build(t)
	v := harness.Run(t, harness.Command{Name: "tenzo-gateway", Path: binary, Args: []string{"version"}}, "")
	if v.Status != 0 || v.Stdout == "" {
		t.Errorf("version: %+v", v)
	}
	p := harness.Start(t, x.invocation("run"))
	line := regexp.MustCompile(`curl [^\n]*tenzo_pk_[^\n]*`)
	harness.Eventually(t, 2*time.Minute, func() error {
		select {
		case <-p.Exited():
			t.Fatalf("xcaddy.sh run has ended:\n%s", p.Log())
		default:
		}
		if line.FindString(p.Log().String()) == "" {
			return fmt.Errorf("no curl line is printed")
		}
		return nil
	})
	// The text comes last and names the chosen ports, and no warning stands in its way.
	log := p.Log().String()
	_, guide, found := strings.Cut(log, "serving initial configuration")
	embedded := regexp.MustCompile(`TENZO_EMBEDDED_ADDR=127\.0\.0\.1:\d+ \S+ keys list --org demo`)
	if !found || line.FindString(guide) == "" || !strings.Contains(guide, "http://localhost:"+tools+"\n") ||
		!strings.Contains(guide, "http://localhost:"+status+"/metrics") || embedded.FindString(guide) == "" {
		t.Errorf("the text does not say what to do next:\n%s", log)
	}
	if strings.Contains(log, "skipped because it requires TLS") {
		t.Errorf("HTTP/2 or HTTP/3 is warned of:\n%s", log)
	}
	second := harness.Run(t, harness.Command{Name: "second terminal", Path: "bash", Args: []string{"-c", embedded.FindString(guide)}, Dir: x.folder}, "")
	if second.Status != 0 || !strings.Contains(second.Stdout, "active") {
		t.Errorf("the command for the second terminal: %+v", second)
	}
	curl := exec.Command("bash", "-c", strings.TrimSpace(line.FindString(p.Log().String()))+` -s -o /dev/null -w '%{http_code}'`)
	if out, err := curl.CombinedOutput(); err != nil || string(out) != "200" {
		t.Errorf("the printed line %q answers %s, %v", curl.Args[2], out, err)
	}
	for url, want := range map[string]int{
		"http://localhost:" + site + "/":          401,
		"http://localhost:" + tools + "/":         200,
		"http://localhost:" + status + "/livez":   200,
		"http://localhost:" + status + "/readyz":  200,
		"http://localhost:" + status + "/metrics": 200,
	} {
		harness.Eventually(t, 10*time.Second, func() error {
			a, err := do(plain, request(t, http.MethodGet, url))
			if err != nil {
				return err
			}
			return errStatusUnless(a, want)
		})
	}
	// Every port is bound to loopback.
	for _, port := range []string{site, tools, status} {
		if addr := listensBeyondLoopback(t, port); addr != "" {
			t.Errorf("port %s is bound to %s", port, addr)
		}
	}
	p.Terminate()
	p.Wait(60 * time.Second)
}

// TestXcaddyWithPlugin builds with the real xcaddy and a further plugin. The first module proxy
// refuses to answer about this module, as private proxies do, and the build does not depend on it.
func TestXcaddyWithPlugin(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	install := exec.Command("go", "install", "github.com/caddyserver/xcaddy/cmd/xcaddy@v0.4.5")
	install.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("go install xcaddy: %v\n%s", err, out)
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/github.com/tenzo-ai/") {
			// Go looks for the version that xcaddy requires, and for no other.
			if !strings.HasSuffix(r.URL.Path, "/@v/v0.0.0.info") {
				t.Errorf("the module proxy was asked for %s", r.URL.Path)
			}
			http.Error(w, "not allowed", http.StatusForbidden)
			return
		}
		http.NotFound(w, r) // the next proxy has it
	}))
	defer proxy.Close()
	x := newXcaddyScript(t, bin, "GOPROXY="+proxy.URL+","+goEnv(t, "GOPROXY"))
	binary := x.build(t, "--with", "github.com/mholt/caddy-l4@v0.1.2")
	modules := harness.Run(t, harness.Command{Name: "tenzo-gateway", Path: binary, Args: []string{"list-modules"}}, "")
	for _, id := range append([]string{"layer4"}, moduleIDs...) {
		if !slices.Contains(strings.Fields(modules.Stdout), id) {
			t.Errorf("list-modules lacks %s", id)
		}
	}
	version := harness.Run(t, harness.Command{Name: "tenzo-gateway", Path: binary, Args: []string{"version"}}, "")
	if !strings.HasPrefix(version.Stdout, "devel") { // the copy has no commit
		t.Errorf("version says %q", version.Stdout)
	}
}

// TestRunScript checks the script that starts all tests, because it cannot run itself here: CI
// calls it, and shellcheck finds no fault.
func TestRunScript(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"tests/run.sh", ".ci/run", "xcaddy.sh"} {
		path := filepath.Join(harness.Root(t), script)
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode()&0o111 == 0 {
			t.Errorf("%s is not executable", script)
		}
		if out, err := exec.Command("shellcheck", path).CombinedOutput(); err != nil {
			t.Errorf("shellcheck %s: %v\n%s", script, err, out)
		}
	}
	ci, err := os.ReadFile(filepath.Join(harness.Root(t), ".ci/run"))
	must(t, err)
	if !strings.Contains(string(ci), "/tests/run.sh") {
		t.Error(".ci/run does not call tests/run.sh")
	}
}

// cleanCopy copies the files that a clone would have: none that is built or ignored.
func cleanCopy(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, path := range files(t, "") {
		from, to := filepath.Join(harness.Root(t), path), filepath.Join(folder, path)
		info, err := os.Stat(from)
		must(t, err)
		must(t, os.MkdirAll(filepath.Dir(to), 0o755))
		in, err := os.Open(from)
		must(t, err)
		out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, info.Mode())
		must(t, err)
		_, err = io.Copy(out, in)
		must(t, err)
		must(t, in.Close())
		must(t, out.Close())
	}
	return folder
}

// program writes an executable and returns its folder.
func program(t *testing.T, name, text string) string {
	t.Helper()
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o755))
	return folder
}

func withoutTenzo(env []string) (out []string) {
	for _, entry := range env {
		if !strings.HasPrefix(entry, "TENZO_") {
			out = append(out, entry)
		}
	}
	return out
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	must(t, err)
	return strings.TrimSpace(string(out))
}
