package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var relativeLink = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

// TestLinksLeadSomewhere follows every relative link of the documents at the
// root and under docs.
func TestLinksLeadSomewhere(t *testing.T) {
	documents, _ := filepath.Glob(filepath.Join(root, "*.md"))
	nested, _ := filepath.Glob(filepath.Join(root, "docs", "*", "*.md"))
	seen := 0
	for _, doc := range append(documents, nested...) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range relativeLink.FindAllStringSubmatch(string(text), -1) {
			seen++
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", doc, m[1], err)
			}
		}
	}
	if seen == 0 {
		t.Fatal("found no links: the search is broken")
	}
}

// TestEveryPageIsFound wants each page under docs to be linked from another:
// decisions from their list.
func TestEveryPageIsFound(t *testing.T) {
	documents, _ := filepath.Glob(filepath.Join(root, "*.md"))
	pages, _ := filepath.Glob(filepath.Join(root, "docs", "*", "*.md"))
	linked := map[string]bool{}
	for _, doc := range append(documents, pages...) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range relativeLink.FindAllStringSubmatch(string(text), -1) {
			linked[filepath.Join(filepath.Dir(doc), m[1])] = true
		}
		if list := filepath.Join(filepath.Dir(doc), "README.md"); filepath.Base(filepath.Dir(doc)) == "decisions" && doc != list {
			checkListed(t, list, filepath.Base(doc))
		}
	}
	for _, page := range pages {
		// A link to a folder leads to its README, or to its pages by sight.
		if !linked[page] && !linked[filepath.Dir(page)] {
			t.Errorf("no document links to %s", page)
		}
	}
}

func checkListed(t *testing.T, list, page string) {
	t.Helper()
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "]("+page+")") {
		t.Errorf("%s does not list %s", list, page)
	}
}
