package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klamm-io/klamm/storage/disk"
)

// Files are named for the number of their first line.
const (
	filePrefix = "audit-"
	fileEnding = ".jsonl"
)

func fileName(first int64) string { return fmt.Sprintf("%s%020d%s", filePrefix, first, fileEnding) }

func firstOf(name string) (int64, bool) {
	digits, is := strings.CutSuffix(name, fileEnding)
	digits, prefixed := strings.CutPrefix(digits, filePrefix)
	first, err := strconv.ParseInt(digits, 10, 64)
	return first, is && prefixed && err == nil
}

// fileNames are those of the log's files in a folder, oldest first.
func fileNames(fsys disk.FS, dir string) (names []string, err error) {
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is no such folder", dir)
	}
	for _, e := range entries {
		if _, is := firstOf(e.Name()); is {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// read is what of a line ties it to others.
type read struct {
	Class    int   `json:"class_uid"`
	Count    int64 `json:"count"`
	Metadata struct {
		Sequence *int64 `json:"sequence"`
	} `json:"metadata"`
	Unmapped chain `json:"unmapped"`
}

// parse reads a line and says what is wrong with it by itself.
func parse(text []byte) (r read, err error) {
	rest, digest, ok := withoutDigest(text)
	if !ok || json.Unmarshal(text, &r) != nil || r.Metadata.Sequence == nil {
		return r, errors.New("is no line of an audit log")
	}
	if digestOf(rest) != digest {
		return r, errors.New("was changed: its digest is that of another text")
	}
	return r, nil
}

// resume finds where the log is to go on. A line that a crash cut off is missing.
func (l *Log) resume() error {
	names, err := fileNames(l.deps.FS, l.config.Dir)
	if err != nil || len(names) == 0 {
		return err
	}
	name := names[len(names)-1]
	first, _ := firstOf(name)
	text, err := l.deps.FS.ReadFile(filepath.Join(l.config.Dir, name))
	if err != nil {
		return err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	if len(whole) < len(text) {
		l.missing.Add(1)
	}
	if l.file, err = l.deps.FS.OpenFile(filepath.Join(l.config.Dir, name)); err != nil {
		return err
	}
	l.name, l.size = name, int64(len(whole))
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	l.writer.sequence = first
	if len(whole) > 0 {
		l.follow(whole, first)
		return nil
	}
	if len(names) > 1 {
		return l.followFile(names[len(names)-2])
	}
	return nil
}

// followFile goes on after the last line of a file that is not to be written to.
func (l *Log) followFile(name string) error {
	text, err := l.deps.FS.ReadFile(filepath.Join(l.config.Dir, name))
	if err != nil {
		return err
	}
	first, _ := firstOf(name)
	l.follow(text, first)
	return nil
}

// follow goes on after the last of some lines. What is damaged there stays, and
// [Verify] finds it.
func (l *Log) follow(lines []byte, first int64) {
	lines = bytes.TrimSuffix(lines, []byte("\n"))
	last := lines[bytes.LastIndexByte(lines, '\n')+1:]
	r, err := parse(last)
	if err == nil {
		l.writer.sequence, l.writer.previous = *r.Metadata.Sequence+1, r.Unmapped.Digest
		return
	}
	l.deps.Logger.Error("the audit log's last line is damaged; `klamm audit verify` says more", "file", l.name, "err", err)
	l.writer.sequence, l.writer.previous = first+int64(bytes.Count(lines, []byte("\n")))+1, digestOf(last)
}
