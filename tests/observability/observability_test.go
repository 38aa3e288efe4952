// Package observability tests what operators look at and what alerts them: rules, dashboards,
// documents and examples under config name only what the programs export, every threshold is
// tested, and real data reaches every panel.
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

// inConfig returns a path under config.
func inConfig(t *testing.T, elem ...string) string {
	t.Helper()
	return filepath.Join(append([]string{harness.Root(t), "config"}, elem...)...)
}

// read returns the content of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// glob returns the matching files and fails the test where none matches, since it would test
// nothing.
func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s matches %d files, error %v", pattern, len(files), err)
	}
	return files
}

// readYAML decodes a file that holds one YAML document.
func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// run runs a program to completion and returns its output.
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
