package brokers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Tree returns the top of the source tree that the working directory is in.
func Tree() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the source tree: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "cmd")); err == nil {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				return dir, nil
			}
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("find the source tree: no folder above has go.mod and cmd")
		}
		dir = up
	}
}

// Cache returns a folder under .cache/compat and makes it if it is missing.
func Cache(names ...string) (string, error) {
	tree, err := Tree()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(append([]string{tree, ".cache", "compat"}, names...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	return dir, nil
}
