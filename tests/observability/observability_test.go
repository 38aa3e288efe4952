// Package observability proves what operators look at and what wakes them: that rules, dashboards, documents and examples under config
// name what the programs really export, that every threshold is tested, and that real data reaches every panel.
package observability

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// inConfig is a path under config.
func inConfig(t *testing.T, elem ...string) string {
	t.Helper()
	return filepath.Join(append([]string{harness.Root(t), "config"}, elem...)...)
}

// read reads a file whole.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// glob finds files and fails the test where there is none: a pattern that finds nothing tests nothing.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s matches %d files, error %v", pattern, len(files), err)
	}
	return files
}

// readYAML decodes a file of one YAML document.
func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// run runs a program to its end and returns what it wrote.
func run(dir, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
