package observability

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// caddyfiles returns the example Caddyfiles by name, those embedded in other files included.
func caddyfiles(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range append(glob(t, inConfig(t, "examples", "*.Caddyfile")), inConfig(t, "examples", "docker", "Caddyfile")) {
		all[filepath.Base(path)] = read(t, path)
	}
	all["kubernetes"] = kubernetes(t)["ConfigMap tenzo-gateway"]["data"].(map[string]any)["Caddyfile"].(string)
	return all
}

// The binary accepts every example Caddyfile, and `fmt` leaves it unchanged.
func TestExampleCaddyfilesAreValid(t *testing.T) {
	files := t.TempDir()
	ca := harness.NewCA(t)
	authority, err := os.ReadFile(ca.File())
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"redis-ca.pem": authority, "redis-password": []byte("secret\n")} {
		if err := os.WriteFile(filepath.Join(files, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range caddyfiles(t) {
		t.Run(name, func(t *testing.T) {
			formatted := harness.RunGateway(t, nil, text, "fmt", "-")
			if formatted.Status != 0 || formatted.Stdout != text {
				t.Errorf("`tenzo-gateway fmt` would change it (status %d): %s", formatted.Status, formatted.Stderr)
			}
			text = strings.ReplaceAll(text, "/etc/tenzo-gateway", files)
			path := filepath.Join(t.TempDir(), "Caddyfile")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			env := []string{"TENZO_REDIS_URL=redis://127.0.0.1:1/0"}
			if r := harness.RunGateway(t, env, "", "validate", "--config", path, "--adapter", "caddyfile"); r.Status != 0 {
				t.Errorf("`tenzo-gateway validate` ends with %d: %s", r.Status, r.Stderr)
			}
		})
	}
}

func TestSystemdUnitsAreValid(t *testing.T) {
	binary := harness.Binary(t)
	dir := t.TempDir()
	for _, path := range glob(t, inConfig(t, "examples", "systemd", "*.service")) {
		unit := read(t, path)
		if !strings.Contains(unit, "\nTimeoutStopSec=45\n") {
			t.Errorf("%s does not give the process 45 s to stop", filepath.Base(path))
		}
		if !strings.Contains(unit, "\nStartLimitIntervalSec=0\n") {
			t.Errorf("%s stays down after a few failures in a row", filepath.Base(path))
		}
		if strings.Contains(unit, "ProcSubset=") { // hides /proc/stat
			t.Errorf("%s has no process_start_time_seconds", filepath.Base(path))
		}
		// Everything is checked except the path of the binary, which is not installed here.
		here := filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(here, []byte(strings.ReplaceAll(unit, "/usr/local/bin/tenzo-gateway", binary)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := run(dir, "systemd-analyze", "verify", here); err != nil || out != "" {
			t.Errorf("%s: %v\n%s", filepath.Base(path), err, out)
		}
		if out, err := run(dir, "systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", here); err != nil {
			t.Errorf("%s is more exposed than 2.0: %v\n%s", filepath.Base(path), err, out)
		}
		for line := range strings.SplitSeq(unit, "\n") {
			if command, ok := strings.CutPrefix(line, "ExecStart="); ok {
				checkFlags(t, strings.Fields(command)[1:])
			}
		}
	}
}

// systemd, a shell and Caddy's --envfile read the same values from the environment file.
func TestEnvironmentFileIsRead(t *testing.T) {
	file := inConfig(t, "examples", "systemd", "environment")
	out, err := run("", "bash", "-c", `set -a; . "$0"; printenv TENZO_REDIS_URL`, file)
	if err != nil || out != "redis://tenzo:CHANGE-ME@redis.internal:6379/0\n" {
		t.Errorf("a shell reads %q, %v", out, err)
	}
	path := filepath.Join(t.TempDir(), "Caddyfile")
	writeFile(t, path, caddyfiles(t)["edge.Caddyfile"])
	t.Setenv("TENZO_REDIS_URL", "") // restored at the end
	if err := os.Unsetenv("TENZO_REDIS_URL"); err != nil {
		t.Fatal(err)
	}
	if r := harness.RunGateway(t, nil, "", "validate", "--config", path); r.Status == 0 {
		t.Error("validate succeeds without a Redis URL, so the check below proves nothing")
	}
	if r := harness.RunGateway(t, nil, "", "validate", "--config", path, "--envfile", file); r.Status != 0 {
		t.Errorf("validate with --envfile ends with %d: %s", r.Status, r.Stderr)
	}
}

// checkFlags reports the flags of a command line that the binary does not know.
func checkFlags(t *testing.T, args []string) {
	t.Helper()
	help := harness.RunGateway(t, nil, "", args[0], "--help")
	if help.Status != 0 {
		t.Errorf("there is no command %s: %s", args[0], help.Stderr)
	}
	for _, arg := range args[1:] {
		name, _, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(name, "--") && !strings.Contains(help.Stdout+help.Stderr, name) {
			t.Errorf("%s has no flag %s", args[0], name)
		}
	}
}

func TestComposeFileIsWhole(t *testing.T) {
	dir := inConfig(t, "examples", "docker")
	var c struct {
		Services map[string]struct {
			Image           string
			Command         []string
			Environment     map[string]string
			StopGracePeriod string `yaml:"stop_grace_period"`
			Volumes         []string
			Build           struct{ Context, Dockerfile string }
			DependsOn       map[string]any `yaml:"depends_on"`
		}
		Volumes map[string]any
	}
	readYAML(t, filepath.Join(dir, "compose.yaml"), &c)
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(source, ".") {
				if _, err := os.Stat(filepath.Join(dir, source)); err != nil {
					t.Errorf("%s mounts a missing path: %v", name, err)
				}
			} else if _, ok := c.Volumes[source]; !ok {
				t.Errorf("%s mounts the volume %s, which is not declared", name, source)
			}
		}
		for other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s, which does not exist", name, other)
			}
		}
	}
	for _, name := range []string{"gateway", "dispatcher"} {
		s := c.Services[name]
		if s.StopGracePeriod != "45s" || s.Environment["TENZO_REDIS_URL"] == "" {
			t.Errorf("%s is %+v", name, s)
		}
		if _, err := os.Stat(filepath.Join(dir, s.Build.Context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s builds from a missing file: %v", name, err)
		}
	}
	checkFlags(t, c.Services["dispatcher"].Command)
	for name, s := range c.Services {
		if _, version, _ := strings.Cut(s.Image, ":"); version == "" && s.Build.Context == "" {
			t.Errorf("%s is not pinned: its image is %s", name, s.Image)
		}
	}
	var schema struct {
		Dependencies map[string]string `json:"devDependencies"`
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(harness.Root(t), "tests", "grafana", "package.json"))), &schema); err != nil {
		t.Fatal(err)
	}
	if image := c.Services["grafana"].Image; image != "grafana/grafana:"+schema.Dependencies["@grafana/schema"] {
		t.Errorf("dashboards are checked for %v, and shown by %s", schema.Dependencies, image)
	}

	// Prometheus finds the rules where the compose file mounts them.
	mounted := t.TempDir()
	for _, f := range append(glob(t, inConfig(t, "prometheus", "*.yml")), filepath.Join(dir, "prometheus.yml")) {
		target := filepath.Join(mounted, "tenzo", filepath.Base(f))
		if strings.HasPrefix(f, dir) {
			target = filepath.Join(mounted, "prometheus.yml")
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, []byte(read(t, f)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := run(mounted, "promtool", "check", "config", "prometheus.yml"); err != nil || strings.Count(out, "rules found") < 4 {
		t.Errorf("%v\n%s", err, out)
	}
}

// The files that the Dockerfile copies, runs and starts exist.
func TestDockerfileNamesWhatIsThere(t *testing.T) {
	text := read(t, inConfig(t, "examples", "docker", "Dockerfile"))
	for _, needed := range []string{"./xcaddy.sh build", "bin/tenzo-gateway", `ENTRYPOINT ["/usr/bin/tenzo-gateway"]`, "USER 65532"} {
		if !strings.Contains(text, needed) {
			t.Errorf("the Dockerfile lacks %s", needed)
		}
	}
	goVersion, err := run(harness.Root(t), "go", "list", "-m", "-f", "{{.GoVersion}}")
	if err != nil {
		t.Fatal(err)
	}
	if wanted := "golang:" + strings.TrimSpace(goVersion) + "-"; !strings.Contains(text, wanted) {
		t.Errorf("the Dockerfile builds with another Go than %s", wanted)
	}
}

var javascript = regexp.MustCompile("(?s)```javascript\n(.*?)```")

// Node can parse the snippets for Node. The Redis client that they import is left to the reader.
func TestNodeSnippetsParse(t *testing.T) {
	found := 0
	for _, document := range glob(t, inConfig(t, "docs", "*.md")) {
		for _, snippet := range javascript.FindAllStringSubmatch(read(t, document), -1) {
			found++
			path := filepath.Join(t.TempDir(), "snippet.mjs")
			if err := os.WriteFile(path, []byte(snippet[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := run("", "node", "--check", path); err != nil {
				t.Errorf("%s: %v\n%s", filepath.Base(document), err, out)
			}
		}
	}
	if found == 0 {
		t.Error("there is no snippet for Node")
	}
}
