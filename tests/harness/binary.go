package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// root is the folder of the module that contains the package under test.
var root = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(out))), err
})

// Root returns the folder of the module.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatalf("finding the module: %v", err)
	}
	return dir
}

// build builds the binary once for each test process. TENZO_TEST_BUILD_FLAGS adds flags, such as
// -race.
var build = sync.OnceValues(func() (path string, err error) {
	dir, err := root()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(dir, ".cache", "tests")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(folder, "build-")
	if err != nil {
		return "", err
	}
	_ = f.Close()
	defer func() { _ = os.Remove(f.Name()) }()
	// The same flags as in xcaddy.sh, so that both share the build cache.
	args := append([]string{"build", "-trimpath", "-tags", "nobadger,nomysql,nopgx"}, strings.Fields(os.Getenv("TENZO_TEST_BUILD_FLAGS"))...)
	cmd := exec.Command("go", append(args, "-o", f.Name(), "./caddymodule/cmd/tenzo-gateway")...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &buildError{string(out), err}
	}
	// The rename keeps the binary whole that another test process runs.
	path = filepath.Join(folder, "tenzo-gateway")
	return path, os.Rename(f.Name(), path)
})

type buildError struct {
	output string
	err    error
}

func (e *buildError) Error() string { return e.err.Error() + ":\n" + e.output }

// Binary builds tenzo-gateway and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatalf("building tenzo-gateway: %v", err)
	}
	return path
}
