package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/klamm-io/klamm/"
)

// everyones are the packages that all others may import.
var everyones = []string{"protocol", "protocol/compress", "protocol/node", "protocol/record", "security"}

// allowed reads the table of ARCHITECTURE.md.
func allowed(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| package | may import besides |")
	if !found {
		t.Fatal("ARCHITECTURE.md has no table of imports")
	}
	rules := map[string][]string{}
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			break
		}
		var may []string
		for _, p := range strings.Split(cells[2], ",") {
			if p = strings.TrimSpace(p); p != "" {
				may = append(may, p)
			}
		}
		rules[strings.TrimSpace(cells[1])] = may
	}
	return rules
}

// imports yields, for each package of this module, the packages of this module
// that its code imports; tests and test programs are left out.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() && (rel == "test" || rel == "internal/architecture" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && rel != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		found[dir] = append(found[dir], ours(file.Imports)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// ours returns the imports that belong to this module, by folder.
func ours(specs []*ast.ImportSpec) []string {
	var dirs []string
	for _, s := range specs {
		path, _ := strconv.Unquote(s.Path.Value)
		if dir, ok := strings.CutPrefix(path, module); ok {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func TestImportsFollowTheTable(t *testing.T) {
	rules := allowed(t)
	found := imports(t)
	if len(found) < 10 {
		t.Fatalf("found only %d packages: the walk is broken", len(found))
	}
	for dir, imported := range found {
		may, listed := rules[dir]
		if !listed {
			t.Errorf("package %s is not in ARCHITECTURE.md's table", dir)
		}
		for _, p := range imported {
			if !slices.Contains(may, p) && !slices.Contains(everyones, p) {
				t.Errorf("%s imports %s, which ARCHITECTURE.md does not allow", dir, p)
			}
		}
	}
	for dir := range rules {
		if _, exists := found[dir]; !exists {
			t.Errorf("ARCHITECTURE.md's table has %s, which is no package", dir)
		}
	}
}
