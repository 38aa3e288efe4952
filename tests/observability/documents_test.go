package observability

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

var (
	link        = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading     = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	fenced      = regexp.MustCompile("(?s)```.*?```")
)

// documents returns README.md and every document under config/docs, without their snippets.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range append(glob(t, inConfig(t, "docs", "*.md")), filepath.Join(harness.Root(t), "README.md")) {
		all[path] = fenced.ReplaceAllString(read(t, path), "")
	}
	return all
}

// anchors returns the anchors that GitHub derives from a document's headings.
func anchors(text string) []string {
	var all []string
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(h[1])), ""), " ", "-"))
	}
	return all
}

// Links between documents lead to files and headings that exist.
func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	all := documents(t)
	for path, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s, which does not exist", filepath.Base(path), m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(all[file]), anchor) {
				t.Errorf("%s links to %s, but the document has no such heading", filepath.Base(path), m[1])
			}
		}
	}
}

// Every document is reachable from the README or from another document.
func TestDocumentsAreLinkedTo(t *testing.T) {
	all := documents(t)
	for path := range all {
		linked := filepath.Base(path) == "README.md"
		for other, text := range all {
			linked = linked || other != path && strings.Contains(text, filepath.Base(path))
		}
		if !linked {
			t.Errorf("nothing links to %s", filepath.Base(path))
		}
	}
}

// Every private Redis name that a document tells operators to look at exists in the code.
func TestDocumentsNameWhatStandsInRedis(t *testing.T) {
	code := read(t, inConfig(t, "store", "names.go"))
	for _, path := range glob(t, inConfig(t, "docs", "*.md")) {
		for _, m := range regexp.MustCompile(`\{tenzo:events\}:([a-z-]+)`).FindAllStringSubmatch(read(t, path), -1) {
			if !strings.Contains(code, `n.slot + "`+m[1]+`"`) {
				t.Errorf("%s names %s, which does not exist in the code", filepath.Base(path), m[0])
			}
		}
	}
}

var quotedMessage = regexp.MustCompile("(?m)^\\| `([^`]+)` \\|")

// Every log message that operate.md explains exists in the code.
func TestDocumentsQuoteMessages(t *testing.T) {
	_, section, _ := strings.Cut(read(t, inConfig(t, "docs", "operate.md")), "| `msg` begins with |")
	section, _, _ = strings.Cut(section, "\n\n")
	quoted := quotedMessage.FindAllStringSubmatch(section, -1)
	if len(quoted) < 5 {
		t.Fatalf("the document explains %d messages", len(quoted))
	}
	var code strings.Builder
	for _, folder := range []string{"caddymodule", "config", "dispatcher"} {
		err := filepath.WalkDir(filepath.Join(harness.Root(t), folder), func(path string, _ os.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				code.WriteString(read(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range quoted {
		if !strings.Contains(code.String(), `"`+m[1]) {
			t.Errorf("no message begins with %q", m[1])
		}
	}
}

// Each runbook says what its alert means, what customers notice, what to check and what to do.
func TestRunbooksSayWhatToDo(t *testing.T) {
	text := read(t, inConfig(t, "docs", "runbooks.md"))
	for _, section := range strings.Split(text, "\n## ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		for _, part := range []string{"**Means.**", "**Customers notice**", "**Check", "**Do.**"} {
			if !strings.Contains(strings.ReplaceAll(body, "**Check and do**", "**Check **Do.**"), part) {
				t.Errorf("the runbook of %s lacks %s", name, part)
			}
		}
	}
}
