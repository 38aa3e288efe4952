package tests

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"gopkg.in/yaml.v3"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// snippet is a fenced block of a document. The comment before it, `<!-- test: HOW -->`, says how it
// is tested:
//
//	run OUTCOME               sh, bash, python: runs, succeeds and has the outcome of that name in
//	                          outcomes_test.go; later blocks of the document see its variables
//	fails                     the same, and fails
//	output                    each line occurs, in order, in the output of the run before; `…`
//	                          stands for anything
//	adapt [tenzo|global|site] caddyfile: a whole one, or lines of such a block; valid
//	config                    json: a whole configuration of Caddy; valid
//	parse                     json, yaml, sh, bash, go, python: well-formed
//	TestName                  the test of that name tests it
type snippet struct {
	file     string
	line     int
	language string
	how      string
	text     string
}

func (s snippet) String() string { return fmt.Sprintf("%s:%d", s.file, s.line) }

var testComment = regexp.MustCompile(`^<!-- test: (.+?) -->$`)

// snippets finds the fenced blocks of a document.
func snippets(t *testing.T, file string) (out []snippet) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(t), file))
	must(t, err)
	var in *snippet
	var how, indent string
	for i, line := range strings.Split(string(text), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case in != nil && strings.HasPrefix(trimmed, "```"):
			out = append(out, *in)
			in, how = nil, ""
		case in != nil:
			in.text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(trimmed, "```"):
			language, _, _ := strings.Cut(strings.TrimPrefix(trimmed, "```"), " ")
			in = &snippet{file: file, line: i + 1, language: language, how: how}
			indent = line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		case testComment.MatchString(trimmed):
			how = testComment.FindStringSubmatch(trimmed)[1]
		default:
			how = ""
		}
	}
	if in != nil {
		t.Errorf("%v is not closed", in)
	}
	return out
}

// TestSnippets tests the code blocks of all documents: every command, Caddyfile and piece of JSON.
func TestSnippets(t *testing.T) {
	for _, file := range files(t, ".md") {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			d := &document{t: t}
			for _, s := range snippets(t, file) {
				switch {
				case s.how != "":
					d.try(s)
				case s.language != "" && s.language != "text":
					t.Errorf("%v: nothing says how this %s is tested", s, s.language)
				}
			}
		})
	}
}

// document is the environment in which the blocks of one document run.
type document struct {
	t       *testing.T
	home    string // files of the test itself
	folder  string // the working folder of blocks
	env     []string
	ports   *strings.Replacer
	output  string // of the last block that ran
	started bool

	redis    *harness.Redis
	rdb      *redis.Client
	receiver *harness.Receiver
	key      key    // $KEY and $KEY_ID of the blocks
	kept     string // by an outcome for a later one
}

func (d *document) try(s snippet) {
	d.t.Helper()
	var err error
	switch how, rest, _ := strings.Cut(s.how, " "); how {
	case "run", "fails":
		err = d.run(s)
		if how == "run" && err == nil {
			err = d.outcome(rest)
		}
		if how == "fails" {
			if err == nil {
				err = fmt.Errorf("it succeeds:\n%s", d.output)
			} else {
				err = nil
			}
		}
	case "output":
		err = matches(s.text, d.output)
	case "adapt":
		err = d.adapt(s.text, rest)
	case "config":
		err = d.validate("config.json", s.text, "")
	case "parse":
		err = d.parse(s)
	default:
		if err = fmt.Errorf("there is no test %s", s.how); strings.HasPrefix(how, "Test") && exists(d.t, how) {
			err = nil
		}
	}
	if err != nil {
		d.t.Errorf("%v (%s): %v", s, s.how, err)
	}
}

// exists checks whether the module has a test of that name.
func exists(t *testing.T, test string) bool {
	t.Helper()
	for _, path := range files(t, "_test.go") {
		text, err := os.ReadFile(filepath.Join(harness.Root(t), path))
		must(t, err)
		if strings.Contains(string(text), "func "+test+"(t *testing.T)") {
			return true
		}
	}
	return false
}

// matches compares an output with the lines that a document shows of it.
func matches(shown, output string) error {
	at := 0
	for line := range strings.Lines(shown) {
		line = strings.TrimRight(line, " \n")
		if line == "" || line == "…" {
			continue
		}
		pattern := strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*")
		found := regexp.MustCompile(`(?m)^[ \t]*` + strings.TrimLeft(pattern, " ") + `[ \t\r]*$`).FindStringIndex(output[at:])
		if found == nil {
			return fmt.Errorf("the output has no line %q (any more):\n%s", line, output)
		}
		at += found[1]
	}
	return nil
}

func (d *document) run(s snippet) error {
	d.start()
	text := d.ports.Replace(s.text)
	var cmd *exec.Cmd
	switch s.language {
	case "sh", "bash", "console":
		state := filepath.Join(d.home, "state")
		cmd = exec.Command("bash", "-c", "set -a\n[ ! -e "+state+" ] || . "+state+"\nset -euo pipefail\n"+text+"\nexport -p >"+state)
	case "python":
		cmd = exec.Command("python3", "-c", text)
	default:
		return fmt.Errorf("%s cannot be run", s.language)
	}
	cmd.Dir, cmd.Env = d.folder, d.env
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	out, err := cmd.CombinedOutput()
	d.output = string(out)
	if err != nil {
		return fmt.Errorf("%w:\n%s", err, out)
	}
	return nil
}

// start prepares the environment of blocks that run: a Redis with the marker, a gateway with the
// default Caddyfile and ports of its own, an organization `acme` with a key, and a webhook and a
// dead letter of `acme` and of `other`.
func (d *document) start() {
	if d.started {
		return
	}
	d.started = true
	t := d.t
	d.home, d.folder = t.TempDir(), t.TempDir()
	for _, name := range []string{"config", "caddymodule", "dispatcher", "Caddyfile", "README.md", "xcaddy.sh", "tests"} {
		must(t, os.Symlink(filepath.Join(harness.Root(t), name), filepath.Join(d.folder, name)))
	}
	r := harness.StartRedis(t, harness.AOF...)
	r.Mark()
	rdb := r.Client(t)
	receiver := harness.NewReceiver(t, harness.ReceiverOptions{})
	d.redis, d.rdb, d.receiver, d.key = r, rdb, receiver, newKey(t, rdb, "acme")
	must(t, rdb.Do(t.Context(), "acl", "setuser", "tenzo", "on", ">"+formerPassword, "~*", "&*", "+@all").Err())
	for _, org := range []string{"acme", "other"} {
		must(t, rdb.HSet(t.Context(), "tenzo:webhook:"+org, "url", receiver.URL()+"/hook", "secret", "a secret", "active", "1",
			"created_at", now(), "updated_at", now()).Err())
		publish(t, rdb, "event", "interview.results", "org_id", org, "id", "dead-"+org, "payload", "no JSON")
	}

	bin := filepath.Join(d.folder, "bin")
	must(t, os.Mkdir(bin, 0o755))
	// Webhooks go to the receiver of this test, which is on loopback and has a certificate of its
	// own.
	gateway := `case "$1 $2" in "webhook set" | "webhook test") set -- "$@" --allow-networks 127.0.0.0/8 --ca-file ` + receiver.CAFile() + " ;; esac\n" +
		"exec " + harness.Binary(t) + ` "$@"` + "\n"
	must(t, os.WriteFile(filepath.Join(bin, "tenzo-gateway"), []byte("#!/bin/sh\n"+gateway), 0o755))
	tools := filepath.Join(d.home, "tools")
	must(t, os.Mkdir(tools, 0o755))
	cli, err := exec.LookPath("redis-cli")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(tools, "redis-cli"), []byte("#!/bin/sh\nexec "+cli+" -p "+strconv.Itoa(r.Port())+` "$@"`+"\n"), 0o755))

	env := []string{"TENZO_REDIS_URL=" + r.URL()}
	replace := []string{"https://YOUR-ENDPOINT.example", receiver.URL(), "redis-cli -p 36379", "redis-cli"}
	for _, port := range []struct{ variable, usual string }{
		{"TENZO_GATEWAY_PORT", "8080"}, {"TENZO_TOOLS_PORT", "8081"}, {"TENZO_STATUS_PORT", "2112"}, {"TENZO_ADMIN_PORT", "2019"},
	} {
		free := strconv.Itoa(harness.FreePort(t))
		env = append(env, port.variable+"="+free)
		replace = append(replace, "localhost:"+port.usual, "localhost:"+free, "127.0.0.1:"+port.usual, "127.0.0.1:"+free)
	}
	for _, usual := range []string{"2020", "9000"} { // examples start servers at these ports
		free := strconv.Itoa(harness.FreePort(t))
		replace = append(replace, "localhost:"+usual, "localhost:"+free, "127.0.0.1:"+usual, "127.0.0.1:"+free)
	}
	d.ports = strings.NewReplacer(replace...)
	d.env = append(withoutTenzo(os.Environ()), env...)
	d.env = append(d.env, "PATH="+tools+":"+bin+":"+os.Getenv("PATH"), "HOME="+d.home, "XDG_CONFIG_HOME="+d.home, "XDG_DATA_HOME="+d.home,
		"KEY="+d.key.secret, "KEY_ID="+d.key.id, "CA_FILE="+receiver.CAFile(), "RECEIVER_URL="+receiver.URL())

	text, err := os.ReadFile(filepath.Join(harness.Root(t), "Caddyfile"))
	must(t, err)
	caddyfile := strings.Replace(string(text), "webhooks {", "webhooks {\n allow_networks 127.0.0.0/8\n ca_file "+receiver.CAFile(), 1)
	harness.StartGateway(t, harness.GatewayOptions{Caddyfile: caddyfile, Env: env, Ready: "http://" + d.ports.Replace("localhost:2112/readyz")})
	harness.Eventually(t, 20*time.Second, func() error { // both events are dead letters
		n, err := rdb.XLen(t.Context(), "tenzo:events").Result()
		if err == nil && n > 0 {
			err = fmt.Errorf("%d events wait", n)
		}
		return err
	})
}

func (d *document) adapt(text, within string) error {
	switch within {
	case "":
	case "tenzo":
		text = "{\n tenzo {\n" + text + "\n }\n}\n"
	case "global":
		text = "{\n" + text + "\n}\n"
	case "site":
		text = ":8080 {\n" + text + "\n}\n"
	default:
		return fmt.Errorf("a Caddyfile has no %s", within)
	}
	return d.validate("Caddyfile", text, "caddyfile")
}

// Files that a document's configuration names and that need not exist on this machine.
var (
	certificateFile = regexp.MustCompile(`/[A-Za-z0-9_./-]+\.(pem|crt)\b`)
	keyFile         = regexp.MustCompile(`/[A-Za-z0-9_./-]+\.key\b`)
	secretFile      = regexp.MustCompile(`\{file\.[^}]+\}`)
)

func (d *document) validate(name, text, adapter string) error {
	ca := harness.NewCA(d.t)
	cert, key := ca.Files(d.t, harness.Leaf{})
	text = certificateFile.ReplaceAllString(text, cert)
	text = keyFile.ReplaceAllString(text, key)
	text = secretFile.ReplaceAllString(text, "{file."+scratch(d.t, "secret", "redis://127.0.0.1:1")+"}")
	args := []string{"validate", "--config", scratch(d.t, name, text)}
	if adapter != "" {
		args = append(args, "--adapter", adapter)
	}
	r := harness.RunGateway(d.t, []string{"TENZO_REDIS_URL=redis://127.0.0.1:1"}, "", args...)
	if r.Status != 0 {
		return fmt.Errorf("validate ends with %d:\n%s", r.Status, r.Stderr)
	}
	return nil
}

func (d *document) parse(s snippet) error {
	checker := func(name string, args ...string) error {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(s.text)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	switch s.language {
	case "json":
		var v any
		return json.Unmarshal([]byte(s.text), &v)
	case "yaml":
		for decoder := yaml.NewDecoder(strings.NewReader(s.text)); ; {
			var v any
			if err := decoder.Decode(&v); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	case "sh", "bash", "console":
		return checker("bash", "-n")
	case "python":
		return checker("python3", "-c", "import ast, sys; ast.parse(sys.stdin.read())")
	case "go":
		_, err := format.Source([]byte(s.text))
		return err
	case "caddyfile":
		return errors.New("say `adapt`")
	default: // no parser for this language
		return nil
	}
}
