// Package tests drives tenzo-gateway from outside: the built binary, in processes of its own,
// against real redis-server, real receivers and injected faults. What one package can show alone is
// tested in that package.
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
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

const modulePath = "github.com/tenzo-ai/tenzo-gateway"

// Dependencies point from caddymodule to dispatcher to config, and only Caddy modules know Caddy.
// The test is stricter than an import rule of the linter, because it also follows indirect
// dependencies.
func TestPackageDependencies(t *testing.T) {
	const caddy, redis = "github.com/caddyserver/", "github.com/redis/"
	own := func(path string) string { return modulePath + "/" + path }
	rules := []struct {
		packages  string // regular expression for paths within the module
		forbidden []string
	}{
		{`config(/.*)?`, []string{caddy, own("dispatcher"), own("caddymodule")}},
		{`dispatcher(/.*)?`, []string{caddy, own("caddymodule")}},
		{`dispatcher/(payload|schedule)`, []string{redis, own("config/store")}},
		{`caddymodule/internal/(apimodel|command|health|keyauth)(/.*)?`, []string{caddy}},
		{`caddymodule/(api|devtools)`, []string{caddy}},
		{`tests/harness`, []string{caddy, own("config"), own("dispatcher"), own("caddymodule")}},
	}
	cmd := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Deps}} {{.}}{{end}}`, "./...")
	cmd.Dir = harness.Root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	matched := make([]bool, len(rules))
	for line := range strings.Lines(string(out)) {
		dependencies := strings.Fields(line)
		path := strings.TrimPrefix(dependencies[0], modulePath+"/")
		for i, rule := range rules {
			if !regexp.MustCompile(`^(` + rule.packages + `)$`).MatchString(path) {
				continue
			}
			matched[i] = true
			for _, dependency := range dependencies {
				if slices.ContainsFunc(rule.forbidden, func(prefix string) bool { return strings.HasPrefix(dependency, prefix) }) {
					t.Errorf("%s depends on %s", path, dependency)
				}
			}
		}
	}
	for i, rule := range rules {
		if !matched[i] {
			t.Errorf("no package matches %s", rule.packages)
		}
	}
}

// The scheduler has no clock and no goroutine of its own: the caller passes the time, so that a
// model can test every order of events.
func TestSchedulerIsPure(t *testing.T) {
	clock := []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}
	found := false
	for _, path := range files(t, ".go") {
		if !strings.HasPrefix(path, "dispatcher/schedule/") || isTest(path) {
			continue
		}
		found = true
		inspect(t, path, func(pos token.Position, n ast.Node) {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%v starts a goroutine", pos)
			case *ast.SelectorExpr:
				if id, ok := n.X.(*ast.Ident); ok && id.Name == "time" && slices.Contains(clock, n.Sel.Name) {
					t.Errorf("%v uses time.%s", pos, n.Sel.Name)
				}
			}
		})
	}
	if !found {
		t.Error("dispatcher/schedule has no code")
	}
}

// Names of Redis keys are spelled in config/store/names.go alone.
func TestRedisNamesAreSpelledInOnePlace(t *testing.T) {
	name := regexp.MustCompile(`^\{?tenzo:[a-z]|^(key|key-id|org|usage|webhook|deliveries|lease|held|parked|progress|mark):$|^:keys$|^dead-(orgs|ids)$`)
	for _, path := range files(t, ".go") {
		if path == "config/store/names.go" || isTest(path) {
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

// names.go alone spells the names in Redis. The scripts get the fixed names as KEYS, and the
// prefixes of the others declared by scripts.go; lib.lua alone puts these together.
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

// A skipped test shows nothing. What a machine lacks is installed by tests/run.sh, or fails the
// test.
func TestNothingIsSkipped(t *testing.T) {
	for _, path := range files(t, ".go") {
		if !isTest(path) {
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

// Every section of the specification that a file cites exists.
func TestCitationsOfTheSpecification(t *testing.T) {
	const specification = "config/docs/specification.md"
	text, err := os.ReadFile(filepath.Join(harness.Root(t), specification))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## (\d+)\. `).FindAllStringSubmatch(string(text), -1) {
		sections[m[1]] = true
	}
	if len(sections) == 0 {
		t.Fatalf("%s has no numbered section", specification)
	}
	// A citation may be wrapped within a comment.
	wrapped := regexp.MustCompile(`\s*\n\s*(//|--|#)?\s*`)
	citation := regexp.MustCompile(`specification\.md,? sections? (\d+)(?:(?:, (\d+))* (?:and|to) (\d+))?`)
	cited := 0
	for _, ending := range []string{".go", ".lua", ".sh", ".md", ".yml", ".js", ".py", "Caddyfile"} {
		for _, path := range files(t, ending) {
			text, err := os.ReadFile(filepath.Join(harness.Root(t), path))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range citation.FindAllStringSubmatch(wrapped.ReplaceAllString(string(text), " "), -1) {
				cited++
				for _, number := range m[1:] {
					if number != "" && !sections[number] {
						t.Errorf("%s cites section %s of %s, which does not exist", path, number, specification)
					}
				}
			}
			if old := regexp.MustCompile(`(?i)\bcontract,? section|CONTRACT\.md`).Find(text); old != nil && path != "tests/structure_test.go" {
				t.Errorf("%s cites %q, which is not in the repository", path, old)
			}
		}
	}
	if cited == 0 {
		t.Error("no citation was found")
	}
}

// isTest reports whether a Go file belongs to the tests.
func isTest(path string) bool {
	return strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "tests/")
}

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
		if d.Type().IsRegular() && d.Name() != ".git" && strings.HasSuffix(path, ending) {
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
