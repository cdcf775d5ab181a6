package format

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klamm-io/klamm/storage/disk"
)

// list is the form of the files in which the metadata's folder keeps what a cluster
// begins with: a version, how many lines follow, and a line for each.
type list[T any] struct {
	file    string
	version string
	what    string // the lines tell of
	line    func(T) string
	parse   func(line string) (T, error)
	check   func([]T) error // all of them together; nil: nothing
	secret  bool            // errors quote nothing of the file
	rewrite string          // what to do about a file that cannot be read
}

// write replaces the file in a folder; without any there is to be none.
func (l *list[T]) write(fsys disk.FS, folder string, all []T) error {
	path := filepath.Join(folder, l.file)
	if len(all) == 0 {
		if err := fsys.RemoveAll(path); err != nil {
			return fmt.Errorf("remove %s: %w", path, err)
		}
		return nil
	}
	lines := []string{l.version, strconv.Itoa(len(all))}
	for _, one := range all {
		lines = append(lines, l.line(one))
	}
	return disk.WriteFileAtomic(fsys, path, []byte(strings.Join(lines, "\n")+"\n"))
}

// read reads the file; where it is not there, there are none.
func (l *list[T]) read(fsys disk.FS, folder string) ([]T, error) {
	path := filepath.Join(folder, l.file)
	raw, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the first %s: %w", l.what, err)
	}
	all, err := l.parseAll(string(raw))
	if err != nil {
		return nil, fmt.Errorf("%s: %w; %s", path, err, l.rewrite)
	}
	return all, nil
}

func (l *list[T]) parseAll(text string) ([]T, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != l.version {
		err := fmt.Errorf("line 1: want the version %s", l.version)
		if !l.secret {
			err = fmt.Errorf("%w, not %q", err, lines[0])
		}
		return nil, err
	}
	if len(lines) < 3 || lines[1] != strconv.Itoa(len(lines)-2) {
		return nil, fmt.Errorf("line 2: want how many %s follow, which is %d", l.what, max(0, len(lines)-2))
	}
	var all []T
	for i, line := range lines[2:] {
		one, err := l.parse(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+3, err)
		}
		all = append(all, one)
	}
	if l.check == nil {
		return all, nil
	}
	return all, l.check(all)
}
