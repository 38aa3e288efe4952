package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// The documents whose words in code font must exist.
var documentsOfCode = []string{"ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "config/docs/specification.md"}

var (
	fence      = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	filePath   = regexp.MustCompile(`^\.?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.*-]+)+$`)
	fileName   = regexp.MustCompile(`^[A-Za-z0-9_…*-]+\.(go|lua|sh|md|yml|yaml|json|js|caddyfiletest)$`)
	identifier = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$`)
	word       = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*`)
)

// read returns a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(harness.Root(t), name))
	must(t, err)
	return string(text)
}

// declarations are what the module's Go files declare: packages, identifiers, and members by type.
type declarations struct {
	packages map[string]bool // names of packages
	names    map[string]bool // everything declared, members too
	// By type and by package: "Auth" has "ServeHTTP", "keyauth" has "Auth".
	members map[string]map[string]bool
}

func (d *declarations) add(owner, name string) {
	if d.members[owner] == nil {
		d.members[owner] = map[string]bool{}
	}
	d.members[owner][name] = true
	d.names[name] = true
}

// has says whether a dotted name leads to a declaration: Func, Type.Member, package.Type.Member.
func (d *declarations) has(dotted string) bool {
	parts := strings.Split(dotted, ".")
	if len(parts) == 1 {
		return d.names[dotted] || d.packages[dotted]
	}
	for i := range parts[1:] {
		if !d.members[parts[i]][parts[i+1]] {
			return false
		}
	}
	return true
}

func declared(t *testing.T) *declarations {
	t.Helper()
	d := &declarations{packages: map[string]bool{}, names: map[string]bool{}, members: map[string]map[string]bool{}}
	for _, name := range files(t, ".go") {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(harness.Root(t), name), nil, parser.SkipObjectResolution)
		must(t, err)
		pkg := file.Name.Name
		d.packages[pkg] = true
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				d.add(pkg, decl.Name.Name)
				if decl.Recv != nil {
					d.add(receiver(decl.Recv.List[0].Type), decl.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.ValueSpec:
						for _, n := range spec.Names {
							d.add(pkg, n.Name)
						}
					case *ast.TypeSpec:
						d.add(pkg, spec.Name.Name)
						d.addMembers(spec)
					}
				}
			}
		}
	}
	return d
}

// receiver is the name of a receiver's type.
func receiver(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

func (d *declarations) addMembers(spec *ast.TypeSpec) {
	var list *ast.FieldList
	switch x := spec.Type.(type) {
	case *ast.StructType:
		list = x.Fields
	case *ast.InterfaceType:
		list = x.Methods
	default:
		return
	}
	for _, f := range list.List {
		for _, n := range f.Names {
			d.add(spec.Name.Name, n.Name)
		}
	}
}

// sources is the text of everything but documents: what options, metrics, codes and names in Redis
// are spelled in.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, name := range files(t, "") {
		switch path.Ext(name) {
		case ".png", ".md", ".svg", ".test":
			continue
		}
		if name == "tests/documentation_test.go" {
			continue
		}
		all.WriteString(read(t, name))
	}
	return all.String()
}

// Whatever a document for maintainers sets in code font exists: files and folders, Go identifiers,
// and every other word somewhere in the sources. Words in capitals are commands of Redis, or
// placeholders.
func TestDocumentsNameWhatExists(t *testing.T) {
	all := files(t, "")
	folders := map[string]bool{}
	bases := map[string]bool{}
	for _, name := range all {
		bases[path.Base(name)] = true
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	// A path is that of a file or folder from the root, or the end of one.
	isFile := func(name string) bool {
		name = strings.TrimPrefix(name, "./")
		matched := func(other string) bool {
			ok, err := path.Match(name, other)
			return ok && err == nil || strings.HasSuffix(other, "/"+name)
		}
		return folders[name] || slices.ContainsFunc(all, matched)
	}
	code, source := declared(t), sources(t)
	for _, document := range documentsOfCode {
		for _, m := range codeSpan.FindAllStringSubmatch(fence.ReplaceAllString(read(t, document), ""), -1) {
			span := strings.TrimSuffix(m[1], "/")
			top, _, _ := strings.Cut(span, "/")
			switch {
			case folders[span]:
			case filePath.MatchString(span) && (top == "." || folders[top] || fileName.MatchString(path.Base(span))):
				if !isFile(span) {
					t.Errorf("%s names the file %s, which does not exist", document, span)
				}
			case fileName.MatchString(span) && !strings.Contains(span, "…"):
				if !bases[span] {
					t.Errorf("%s names a file %s, which does not exist", document, span)
				}
			case identifier.MatchString(span) && code.has(span):
			case strings.ToLower(span) != span && identifier.MatchString(span) && strings.ToUpper(span) != span:
				if !strings.Contains(source, span) {
					t.Errorf("%s names %s, which no Go file declares", document, span)
				}
			default:
				for _, w := range word.FindAllString(span, -1) {
					if len(w) >= 3 && w != strings.ToUpper(w) && !strings.Contains(source, w) {
						t.Errorf("%s names %q in `%s`, which stands in no source", document, w, m[1])
					}
				}
			}
		}
	}
}

// The reworded log lines that CHANGELOG.md names are those that the code writes.
func TestChangelogNamesMessages(t *testing.T) {
	_, table, _ := strings.Cut(read(t, "CHANGELOG.md"), "| before | now |")
	source, found := sources(t), 0
	for line := range strings.Lines(table) {
		cells := strings.Split(line, " | ")
		if len(cells) != 2 {
			continue
		}
		for _, m := range codeSpan.FindAllStringSubmatch(cells[1], -1) {
			found++
			if message, _, _ := strings.Cut(m[1], " …"); !strings.Contains(source, `"`+strings.TrimSuffix(message, ":")) {
				t.Errorf("no message begins with %q", message)
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d messages", found)
	}
}

// Every option of the Caddyfile is in README.md and in the specification.
func TestOptionsAreDocumented(t *testing.T) {
	option := regexp.MustCompile(`\b(?:[a-z]+\("|name: ")([a-z]+(?:_[a-z]+)*)", (?:&|min|block)`)
	found := 0
	for _, name := range files(t, ".go") {
		if path.Dir(name) != "caddymodule" || isTest(name) {
			continue
		}
		for _, m := range option.FindAllStringSubmatch(read(t, name), -1) {
			found++
			named := regexp.MustCompile(`\b` + m[1] + `\b`)
			for _, document := range []string{"README.md", "config/docs/specification.md"} {
				if !named.MatchString(read(t, document)) {
					t.Errorf("%s does not name the option %s", document, m[1])
				}
			}
		}
	}
	if found < 25 {
		t.Errorf("found %d options", found)
	}
}

var packageLine = regexp.MustCompile(`(?m)^ {4,}([a-z/]+) {2,}\S`)

// ARCHITECTURE.md lists every package that is part of the program and no other, and none imports
// one that is above it in the list. The package config is an exception: it is listed above the
// folders in it, which it serves.
func TestArchitectureListsPackages(t *testing.T) {
	_, list, _ := strings.Cut(read(t, "ARCHITECTURE.md"), "## Packages\n")
	list, _, _ = strings.Cut(list, "\n## ")
	var listed []string
	for _, m := range packageLine.FindAllStringSubmatch(list, -1) {
		listed = append(listed, m[1])
	}
	place := func(folder string) int {
		return slices.IndexFunc(listed, func(l string) bool { return folder == l || strings.HasSuffix(folder, "/"+l) })
	}
	there := make([]bool, len(listed))
	for _, name := range files(t, ".go") {
		dir := path.Dir(name)
		if dir == "." || isTest(name) || strings.Contains(dir, "/cmd/") || strings.HasPrefix(dir, "config/grafana") || strings.HasSuffix(dir, "test") {
			continue
		}
		own := place(dir)
		if own < 0 {
			t.Errorf("ARCHITECTURE.md does not list the package %s", dir)
			continue
		}
		there[own] = true
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(harness.Root(t), name), nil, parser.ImportsOnly)
		must(t, err)
		for _, spec := range file.Imports {
			imported, ok := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), modulePath+"/")
			if ok && imported != "config" && place(imported) <= own {
				t.Errorf("%s imports %s, which ARCHITECTURE.md lists above it", name, imported)
			}
		}
	}
	for i, l := range listed {
		if !there[i] {
			t.Errorf("ARCHITECTURE.md lists the package %s, which does not exist", l)
		}
	}
}

// The table of states has every script.
func TestArchitectureHasEveryScript(t *testing.T) {
	text := read(t, "ARCHITECTURE.md")
	for _, name := range files(t, ".lua") {
		if base := path.Base(name); base != "lib.lua" && !strings.Contains(text, "`"+base+"`") {
			t.Errorf("ARCHITECTURE.md does not say what %s does", name)
		}
	}
}

var (
	markdownLink  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	headingLine   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInFragment = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Links within the repository lead to files, folders and headings that exist.
func TestLinksResolve(t *testing.T) {
	for _, name := range files(t, ".md") {
		for _, m := range markdownLink.FindAllStringSubmatch(fence.ReplaceAllString(read(t, name), ""), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if _, err := os.Stat(filepath.Join(harness.Root(t), file)); err != nil {
				t.Errorf("%s links to %s, which does not exist", name, m[1])
				continue
			}
			if fragment != "" && !slices.Contains(fragments(read(t, file)), fragment) {
				t.Errorf("%s links to %s, where there is no such heading", name, m[1])
			}
		}
	}
}

// fragments are those that GitHub gives to the headings of a document.
func fragments(text string) (all []string) {
	for _, h := range headingLine.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.ReplaceAll(notInFragment.ReplaceAllString(strings.ToLower(strings.TrimSpace(h[1])), ""), " ", "-"))
	}
	return all
}
