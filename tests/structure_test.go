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
func TestPackageDependencies(t *testing.T) {
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

// names.go alone spells the names in Redis. The scripts get the fixed names as KEYS, and the prefixes
// of the others declared by scripts.go; lib.lua alone puts these together.
func TestScriptsSpellKeysAsGoDoes(t *testing.T) {
	root := harness.Root(t)
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	goNames, loader := read("config/store/names.go"), read("dispatcher/queue/scripts.go")
	declared := regexp.MustCompile(`"local ([A-Z, ]+) = [^\n]*\n([^\n]*)`).FindStringSubmatch(loader)
	if declared == nil {
		t.Fatal("scripts.go declares no names for the scripts")
	}
	prefixes := map[string]bool{}
	constants := regexp.MustCompile(`store\.(\w+)`).FindAllStringSubmatch(declared[2], -1)
	for i, name := range strings.Split(declared[1], ", ") {
		if i >= len(constants) {
			t.Fatalf("scripts.go has no value for %s", name)
		}
		constant := constants[i][1]
		if name != "GROUP" {
			prefixes[name] = true
			if !strings.EqualFold(constant, name+"Prefix") {
				t.Errorf("scripts.go declares %s as store.%s", name, constant)
			}
		}
		if !regexp.MustCompile(`(?m)^(const|\t) ?` + constant + ` += "`).MatchString(goNames) {
			t.Errorf("scripts.go uses store.%s, which names.go does not spell", constant)
		}
	}
	scripts, err := filepath.Glob(filepath.Join(root, "dispatcher/queue/lua/*.lua"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	joined := regexp.MustCompile(`slot\s*\.\.\s*([^\s)]+)`)
	spelled := regexp.MustCompile(`(?m)^[^-\n]*?('[a-z][a-z-]*:[^']*')`)
	for _, script := range scripts {
		base := filepath.Base(script)
		text := read("dispatcher/queue/lua/" + base)
		for _, m := range joined.FindAllStringSubmatch(text, -1) {
			if base != "lib.lua" || !prefixes[m[1]] {
				t.Errorf("%s builds a key with %s; only lib.lua does, from %s", base, m[1], declared[1])
			}
		}
		for _, m := range spelled.FindAllStringSubmatch(text, -1) {
			t.Errorf("%s spells %s; only names.go spells a name", base, m[1])
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
