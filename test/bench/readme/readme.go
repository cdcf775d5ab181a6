// Package readme puts what was measured where people read it.
package readme

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klamm-io/klamm/test/brokers"
)

// Put writes table between the lines <!-- mark --> and <!-- /mark --> of a file, in
// place of what is there. name is relative to the top of the tree; an empty one
// means that nothing is to be written.
func Put(name, mark, table string) error {
	if name == "" {
		return nil
	}
	tree, err := brokers.Tree()
	if err != nil {
		return err
	}
	path := filepath.Join(tree, name)
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	replaced, err := replace(string(text), mark, table)
	if err != nil {
		return fmt.Errorf("write the table to %s: %w", path, err)
	}
	return os.WriteFile(path, []byte(replaced), 0o644)
}

func replace(text, mark, table string) (string, error) {
	begin, end := fmt.Sprintf("<!-- %s -->\n", mark), fmt.Sprintf("<!-- /%s -->", mark)
	before, rest, found := strings.Cut(text, begin)
	if !found {
		return "", fmt.Errorf("it has no line %s", strings.TrimSpace(begin))
	}
	_, after, found := strings.Cut(rest, end)
	if !found {
		return "", fmt.Errorf("it has no line %s after %s", end, strings.TrimSpace(begin))
	}
	return before + begin + table + end + after, nil
}
