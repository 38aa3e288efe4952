package tests

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// coined words once stood for concepts that have a standard name: scheduler, quota, lease, dead
// letter and the like. CONTRIBUTING.md has the glossary.
var coined = []string{
	"afresh", "board", "bury", "buried", "burying", "crowded", "desk", "desks", "hungry", "ledger",
	"meddling", "strangers", "stray", "ticket", "unproven", "wish",
}

// Identifiers and file names contain no coined word.
func TestNoCoinedWords(t *testing.T) {
	for _, path := range files(t, ".go") {
		if path == "tests/words_test.go" {
			continue
		}
		inspect(t, path, func(pos token.Position, n ast.Node) {
			id, ok := n.(*ast.Ident)
			if !ok {
				return
			}
			for _, word := range words(id.Name) {
				if slices.Contains(coined, word) {
					t.Errorf("%v: the name %s contains %q", pos, id.Name, word)
				}
			}
		})
	}
	name := regexp.MustCompile(`\b[a-z_]\w*`)
	ignored := regexp.MustCompile(`--.*|'[^'\n]*'|"[^"\n]*"`)
	for _, path := range files(t, ".lua") {
		text, err := os.ReadFile(filepath.Join(harness.Root(t), path))
		must(t, err)
		for i, line := range strings.Split(string(text), "\n") {
			for _, id := range name.FindAllString(ignored.ReplaceAllString(line, ""), -1) {
				for _, word := range words(id) {
					if slices.Contains(coined, word) {
						t.Errorf("%s:%d: the name %s contains %q", path, i+1, id, word)
					}
				}
			}
		}
	}
	for _, path := range append(files(t, ".go"), files(t, ".lua")...) {
		for _, word := range words(path) {
			if slices.Contains(coined, word) {
				t.Errorf("the path %s contains %q", path, word)
			}
		}
	}
}

// words splits a name in camel case or snake case, or a path, into lower-case words.
func words(name string) (out []string) {
	var word []rune
	end := func() {
		if len(word) > 0 {
			out = append(out, strings.ToLower(string(word)))
			word = nil
		}
	}
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r):
			end()
			continue
		case unicode.IsUpper(r) && len(word) > 0 && !unicode.IsUpper(word[len(word)-1]):
			end()
		}
		word = append(word, r)
	}
	end()
	return out
}

// Comments of scripts fit into 100 columns, with tabs of 4. The linter checks those of Go.
func TestCommentsFitInto100Columns(t *testing.T) {
	comments := map[string]*regexp.Regexp{
		".lua": regexp.MustCompile(`(^|\s)--(\s|$)`),
		".sh":  regexp.MustCompile(`(^|\s)#(\s|$)`),
		"/run": regexp.MustCompile(`(^|\s)#(\s|$)`),
	}
	for ending, comment := range comments {
		for _, path := range files(t, ending) {
			text, err := os.ReadFile(filepath.Join(harness.Root(t), path))
			must(t, err)
			for i, line := range strings.Split(string(text), "\n") {
				if width := len([]rune(line)) + 3*strings.Count(line, "\t"); width > 100 && comment.MatchString(line) {
					t.Errorf("%s:%d: a line with a comment has %d columns", path, i+1, width)
				}
			}
		}
	}
}
