package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// result is the result of a command.
type result struct {
	stdout, stderr string
	err            error
}

// newRoot returns the root command of the binary with our commands.
func newRoot() *cobra.Command {
	root := &cobra.Command{Use: "tenzo-gateway", SilenceUsage: true, SilenceErrors: true}
	for _, c := range All("test") {
		cmd := &cobra.Command{Use: c.Name + " " + c.Usage, Short: c.Short, Long: c.Long}
		c.Setup(cmd)
		root.AddCommand(cmd)
	}
	return root
}

// run runs a command line like the binary.
func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	root := newRoot()
	var stdout, stderr bytes.Buffer
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return result{stdout.String(), stderr.String(), err}
}

// must runs a command that must succeed.
func must(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	r := run(t, stdin, args...)
	if r.err != nil {
		t.Fatalf("%v: %v", args, r.err)
	}
	return r.stdout
}

// refused runs a command that must fail with an error that contains want.
func refused(t *testing.T, want string, args ...string) {
	t.Helper()
	r := run(t, "", args...)
	if r.err == nil || !strings.Contains(r.err.Error(), want) {
		t.Errorf("%v: want an error with %q, got %v and %q", args, want, r.err, r.stdout)
		return
	}
	if strings.Contains(r.err.Error(), "\n") {
		t.Errorf("%v: the error has more than one line: %q", args, r.err)
	}
}

func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if n := strings.Count(text, "\n"); n != 1 {
		t.Errorf("JSON on %d lines: %q", n, text)
	}
	return v
}

// startStore starts an initialized Redis and sets its URL in the environment.
func startStore(t *testing.T) *harness.Redis {
	t.Helper()
	r := harness.StartRedis(t)
	r.Mark()
	t.Setenv("TENZO_REDIS_URL", r.URL())
	return r
}

// write writes a file and returns its path.
func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInit(t *testing.T) {
	r := harness.StartRedis(t)
	t.Setenv("TENZO_REDIS_URL", r.URL())
	refused(t, "tenzo-gateway init", "keys", "create", "--org", "acme", "--name", "x")
	if out := must(t, "", "init"); !strings.Contains(out, "is marked now") {
		t.Errorf("the first init said %q", out)
	}
	if out := must(t, "", "init"); !strings.Contains(out, "was marked before") {
		t.Errorf("the second init said %q", out)
	}
	got := decode[map[string]any](t, must(t, "", "init", "--json", "--key-prefix", "other:"))
	if diff := cmp.Diff(map[string]any{"schema": "1", "created": true}, got); diff != "" {
		t.Error(diff)
	}
	if v, err := r.Client(t).MGet(t.Context(), "tenzo:schema", "other:schema").Result(); err != nil || v[0] != "1" || v[1] != "1" {
		t.Errorf("redis holds %v, %v", v, err)
	}
}

func TestStoreFlags(t *testing.T) {
	r := harness.StartRedis(t)
	t.Setenv("TENZO_REDIS_URL", "redis://127.0.0.1:1")
	must(t, "", "init", "--redis", r.URL())
	must(t, "", "init", "--redis", "@"+write(t, r.URL()+"\n"))
	refused(t, "every process list", "init", "--redis", "redis://:s3cret@127.0.0.1:1")
	refused(t, "--key-prefix", "init", "--key-prefix", "{a}")
	refused(t, "127.0.0.1:1", "keys", "list", "--org", "acme")
	for _, args := range [][]string{{"--redis", "redis://:s3cret@127.0.0.1:1"}, {"--redis", "@" + write(t, "redis://:s3cret@127.0.0.1:1/not-a-number")}} {
		if r := run(t, "", append([]string{"init"}, args...)...); r.err == nil || strings.Contains(r.err.Error()+r.stderr+r.stdout, "s3cret") {
			t.Errorf("said %v %q", r.err, r.stderr)
		}
	}
}

func TestUnknownSubcommandsAreRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"dispatch", "--json"}, "unknown flag: --json"},
		{[]string{"keys", "nonsense"}, `unknown subcommand "nonsense" of tenzo-gateway keys: choose one of create, list, revoke`},
		{[]string{"keys"}, "keys needs a subcommand: create, list, revoke"},
		{[]string{"webhook", "nonsense"}, "set, show, enable, disable, delete, test, deliveries"},
		{[]string{"events", "nonsense"}, "publish, dead, status"},
		{[]string{"events", "dead", "nonsense"}, "list, replay"},
		{[]string{"events", "dead"}, "list, replay"},
		{[]string{"init", "nonsense"}, "nonsense"},
		{[]string{"dispatch", "nonsense"}, "nonsense"},
		{[]string{"keys", "list", "--org", "a b"}, "--org: an organization id must have"},
		{[]string{"keys", "list"}, `"org" not set`},
		{[]string{"keys", "revoke"}, "the id of the key"},
	} {
		refused(t, c.want, c.args...)
	}
}

// brokenPipe fails every write.
type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// Output that cannot be written is an error. If it was a new secret, the error says what to do.
func TestOutputThatFails(t *testing.T) {
	startStore(t)
	policy := []string{"--allow-networks", "127.0.0.0/8"}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"broken pipe", []string{"init"}},
		{"broken pipe", []string{"init", "--json"}},
		{"was created but not shown; revoke it", []string{"keys", "create", "--org", "acme", "--name", "n"}},
		{"was created but not shown; revoke it", []string{"keys", "create", "--org", "acme", "--name", "n", "--json"}},
		{"broken pipe", []string{"keys", "list", "--org", "acme"}},
		{"new secret that was not shown", append([]string{"webhook", "set", "--org", "acme", "--url", "https://127.0.0.1/", "--generate-secret"}, policy...)},
		{"broken pipe", []string{"webhook", "show", "--org", "acme"}},
		{"broken pipe", []string{"webhook", "deliveries", "--org", "acme"}},
		{"broken pipe", []string{"events", "status"}},
		{"broken pipe", []string{"events", "dead", "replay", "--all"}},
	} {
		root := newRoot()
		root.SetOut(brokenPipe{})
		root.SetArgs(c.args)
		if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %q", c.args, err, c.says)
		}
	}
}
