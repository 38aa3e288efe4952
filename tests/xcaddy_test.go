package tests

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestXcaddy builds in a clean copy, and runs `./xcaddy.sh run` there, as the first thing that
// anybody does, with other ports than the default ones: the printed curl line passes, without a key
// nothing does.
func TestXcaddy(t *testing.T) {
	t.Parallel()
	folder := cleanCopy(t)
	port := func() string { return strconv.Itoa(harness.FreePort(t)) }
	site, tools, status := port(), port(), port()
	env := append(withoutTenzo(os.Environ()),
		"TENZO_GATEWAY_PORT="+site, "TENZO_TOOLS_PORT="+tools, "TENZO_STATUS_PORT="+status, "TENZO_ADMIN_PORT="+port(),
		"TENZO_EMBEDDED_ADDR="+harness.FreeAddr(t), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir(),
		"GOCACHE="+goEnv(t, "GOCACHE"), "GOMODCACHE="+goEnv(t, "GOMODCACHE"), "GOFLAGS="+goEnv(t, "GOFLAGS"), "GOPROXY="+goEnv(t, "GOPROXY"), "GOTOOLCHAIN="+goEnv(t, "GOTOOLCHAIN"), "GONOSUMDB="+goEnv(t, "GONOSUMDB"), "GOSUMDB="+goEnv(t, "GOSUMDB"))
	script := func(argument string) harness.Command {
		return harness.Command{
			Name: "xcaddy.sh " + argument, Path: "/usr/bin/env", Args: append(append([]string{"-i"}, env...), "./xcaddy.sh", argument), Dir: folder,
		}
	}
	built := harness.Start(t, script("build"))
	if status := built.Wait(8 * time.Minute); status != 0 {
		t.Fatalf("xcaddy.sh build ended with status %d", status)
	}
	v := harness.Run(t, harness.Command{Name: "tenzo-gateway", Path: filepath.Join(folder, "bin/tenzo-gateway"), Args: []string{"version"}}, "")
	if v.Status != 0 || v.Stdout == "" {
		t.Errorf("version: %+v", v)
	}
	p := harness.Start(t, script("run"))
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
