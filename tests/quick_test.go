package tests

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// `tests/run.sh quick` leaves out exactly the tests that need Prometheus, packages of npm or
// xcaddy, and the packages that need Chromium or run for long. A full run leaves out nothing.
func TestQuickRunLeavesOutWhatItMust(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(harness.Root(t), "tests/run.sh"))
	must(t, err)
	value := func(name string) string {
		m := regexp.MustCompile(`(?m)^readonly ` + name + `='(.*)'$`).FindSubmatch(script)
		if m == nil {
			t.Fatalf("tests/run.sh has no %s", name)
		}
		return string(m[1])
	}
	packages := regexp.MustCompile(value("slow_packages"))
	leftOut := strings.Split(strings.TrimSuffix(strings.TrimPrefix(value("slow_tests"), "^("), ")$"), "|")

	var need []string
	folders := map[string][]string{}
	for _, file := range files(t, "_test.go") {
		folders[path.Dir(file)] = append(folders[path.Dir(file)], file)
	}
	for folder, tests := range folders {
		if packages.MatchString("/" + folder) {
			continue
		}
		need = append(need, testsThatRun(t, tests, "promtool", "prometheus", "chromium", "check.mjs", "./xcaddy.sh")...)
	}
	// This test names the programs, and runs none.
	need = slices.DeleteFunc(need, func(test string) bool { return test == t.Name() })
	slices.Sort(need)
	slices.Sort(leftOut)
	if diff := cmp.Diff(need, leftOut); diff != "" {
		t.Errorf("tests that need more than a quick run has (-want +left out in tests/run.sh):\n%s", diff)
	}
	full := regexp.MustCompile(`(?m)^\s*CGO_ENABLED=1 go test .*$`).FindAllString(string(script), -1)
	if len(full) != 1 || strings.Contains(full[0], "-skip") || strings.Contains(full[0], "-run") || strings.Contains(full[0], "-short") {
		t.Errorf("a full run is started by %q", full)
	}
}

// A full run tests every package, a quick run every package that is not left out, and a run with a
// package this one. The script is run with programs that only write down how they are called.
func TestRunScriptNamesPackages(t *testing.T) {
	t.Parallel()
	programs := t.TempDir()
	calls := filepath.Join(programs, "calls")
	for name, text := range map[string]string{
		"go":         "echo \"$@\" >>" + calls + "\n[ \"$1\" != list ] || printf '%s\\n' m/config m/tests m/tests/browser m/tests/chaos\n",
		"gofmt":      "",
		"shellcheck": "",
	} {
		must(t, os.WriteFile(filepath.Join(programs, name), []byte("#!/bin/sh\n"+text), 0o755))
	}
	for _, run := range []struct {
		args []string
		want string // the end of the call of `go test`
	}{
		{[]string{"--no-install"}, "12m ./..."},
		{[]string{"--no-install", "-run", "TestX"}, "12m -run TestX ./..."},
		{[]string{"--no-install", "-run", "TestX", "./config"}, "12m -run TestX ./config"},
		{[]string{"quick"}, "m/config m/tests"},
		{[]string{"quick", "./config"}, "./config"},
	} {
		must(t, os.RemoveAll(calls))
		// Without golangci-lint it ends with an error after the tests.
		r := harness.Run(t, harness.Command{
			Name: "tests/run.sh", Path: "./tests/run.sh", Args: run.args, Dir: harness.Root(t),
			Env: []string{"CI=", "PATH=" + programs + ":" + os.Getenv("PATH")},
		}, "")
		text, err := os.ReadFile(calls)
		if err != nil {
			t.Fatalf("%v: %v\n%s%s", run.args, err, r.Stdout, r.Stderr)
		}
		var tests []string
		for call := range strings.Lines(string(text)) {
			if strings.HasPrefix(call, "test ") {
				tests = append(tests, strings.TrimSpace(call))
			}
		}
		if len(tests) != 1 || !strings.HasSuffix(tests[0], " "+run.want) {
			t.Errorf("%v calls %q, want one that ends with %q", run.args, tests, run.want)
		}
	}
}

// testsThatRun returns the tests of one package that run one of the programs, directly or through
// other functions of the package.
func testsThatRun(t *testing.T, files []string, programs ...string) (tests []string) {
	calls, runs := map[string][]string{}, map[string]bool{}
	for _, file := range files {
		var function string
		inspect(t, file, func(_ token.Position, n ast.Node) {
			switch n := n.(type) {
			case *ast.FuncDecl:
				function = n.Name.Name
			case *ast.Ident:
				calls[function] = append(calls[function], n.Name)
			case *ast.CallExpr:
				// inConfig names a folder.
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "inConfig" {
					return
				}
				for _, argument := range n.Args {
					if lit, ok := argument.(*ast.BasicLit); ok && slices.Contains(programs, strings.Trim(lit.Value, `"`)) {
						runs[function] = true
					}
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Path" {
					if lit, ok := n.Value.(*ast.BasicLit); ok && slices.Contains(programs, strings.Trim(lit.Value, `"`)) {
						runs[function] = true
					}
				}
			case *ast.CompositeLit:
				for _, element := range n.Elts {
					if lit, ok := element.(*ast.BasicLit); ok && strings.Trim(lit.Value, `"`) == "./xcaddy.sh" {
						runs[function] = true
					}
				}
			}
		})
	}
	for changed := true; changed; {
		changed = false
		for function, called := range calls {
			if !runs[function] && slices.ContainsFunc(called, func(name string) bool { return runs[name] }) {
				runs[function], changed = true, true
			}
		}
	}
	for _, function := range slices.Sorted(maps.Keys(runs)) {
		if strings.HasPrefix(function, "Test") && runs[function] {
			tests = append(tests, function)
		}
	}
	return tests
}
