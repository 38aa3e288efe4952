// Package tests tries tenzo-gateway as the world sees it: the built binary, in processes of its own, against real redis-server, real
// receivers and the faults that happen to them. What can be shown inside one package is shown there.
package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// The cores can be read, tested and used without knowing Caddy, and config knows nothing of who uses it.
func TestCoresKnowNoCaddy(t *testing.T) {
	const module = "github.com/tenzo-ai/tenzo-gateway/"
	for packages, forbidden := range map[string][]string{
		"./config/...":                   {"github.com/caddyserver/", module + "dispatcher", module + "caddymodule"},
		"./dispatcher/...":               {"github.com/caddyserver/", module + "caddymodule"},
		"./caddymodule/internal/keyauth": {"github.com/caddyserver/"},
		"./caddymodule/api":              {"github.com/caddyserver/"},
		"./caddymodule/devtools":         {"github.com/caddyserver/"},
		"./tests/harness/...":            {"github.com/caddyserver/", module + "config", module + "dispatcher", module + "caddymodule"},
	} {
		cmd := exec.Command("go", "list", "-deps", packages)
		cmd.Dir = harness.Root(t)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list -deps %s: %v", packages, err)
		}
		for dependency := range strings.Lines(string(out)) {
			for _, prefix := range forbidden {
				if strings.HasPrefix(dependency, prefix) {
					t.Errorf("%s depends on %s", packages, strings.TrimSpace(dependency))
				}
			}
		}
	}
}

// Names of Redis keys are spelled in config/store/names.go alone.
func TestRedisNamesAreSpelledInOnePlace(t *testing.T) {
	name := regexp.MustCompile(`^\{?tenzo:[a-z]|^(key|key-id|org|usage|webhook|deliveries|lease|held|parked|progress|mark):$|^:keys$|^dead-(orgs|ids)$`)
	for _, path := range goFiles(t) {
		if path == "config/store/names.go" || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "tests/") {
			continue
		}
		inspect(t, path, func(pos token.Position, n ast.Node) {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && name.MatchString(text) {
				t.Errorf("%v spells the Redis name %q", pos, text)
			}
		})
	}
}

// Scripts get their names passed. Those that depend on an entry's fields they put together in one file, as names.go does.
func TestScriptsNameKeysAsGoDoes(t *testing.T) {
	root := harness.Root(t)
	goNames, err := os.ReadFile(filepath.Join(root, "config/store/names.go"))
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob(filepath.Join(root, "dispatcher/queue/lua/*.lua"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	joined := regexp.MustCompile(`slot \.\. '([^']*)'`)
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range joined.FindAllStringSubmatch(string(text), -1) {
			if filepath.Base(script) != "lib.lua" {
				t.Errorf("%s puts the name %q together; only lib.lua does", filepath.Base(script), m[1])
			}
			if !strings.Contains(string(goNames), `n.slot + "`+m[1]+`"`) {
				t.Errorf("%s spells %q, which names.go does not", filepath.Base(script), m[1])
			}
		}
	}
}

// A test that is skipped shows nothing: what a machine lacks is installed by tests/run.sh, or fails the test.
func TestNothingIsSkipped(t *testing.T) {
	for _, path := range goFiles(t) {
		if !strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(path, "tests/") {
			continue
		}
		inspect(t, path, func(pos token.Position, n ast.Node) {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return
			}
			switch sel.Sel.Name {
			case "Skip", "Skipf", "SkipNow", "Short":
				if id, ok := sel.X.(*ast.Ident); ok && (len(id.Name) == 1 || id.Name == "tb" || id.Name == "testing") {
					t.Errorf("%v calls %s.%s", pos, id.Name, sel.Sel.Name)
				}
			}
		})
	}
}

// goFiles lists the module's Go files, relative to its folder.
func goFiles(t *testing.T) []string { return files(t, ".go") }

// files lists the module's files with an ending, relative to its folder.
func files(t *testing.T, ending string) []string {
	t.Helper()
	var out []string
	root := harness.Root(t)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == ".cache" || d.Name() == "node_modules" || d.Name() == "bin") {
			return filepath.SkipDir
		}
		if d.Type().IsRegular() && strings.HasSuffix(path, ending) {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			out = append(out, filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("found %d files *%s: %v", len(out), ending, err)
	}
	return out
}

func inspect(t *testing.T, path string, visit func(token.Position, ast.Node)) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, filepath.Join(harness.Root(t), path), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if n != nil {
			pos := set.Position(n.Pos())
			pos.Filename = path
			visit(pos, n)
		}
		return true
	})
}
