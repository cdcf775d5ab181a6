package disk

import (
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// ReadDir lists a folder, sorted by name.
func (m *Memory) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	folder, err := m.walk(split(name))
	if err == nil && !folder.isFolder() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return nil, pathError("readdir", name, err)
	}
	list := make([]fs.DirEntry, 0, len(folder.names))
	for _, entry := range slices.Sorted(maps.Keys(folder.names)) {
		list = append(list, fs.FileInfoToDirEntry(folder.names[entry].info(entry)))
	}
	return list, nil
}

// Stat tells about a file or folder.
func (m *Memory) Stat(name string) (fs.FileInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.walk(split(name))
	if err != nil {
		return nil, pathError("stat", name, err)
	}
	return n.info(filepath.Base(name)), nil
}

// ReadFile returns a copy of a file's bytes.
func (m *Memory) ReadFile(name string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.walk(split(name))
	if err == nil && n.isFolder() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return append([]byte{}, n.data...), nil
}

// SyncDir makes the names in a folder durable. A rename out of it into another
// folder cannot become durable by halves, so it takes along what was done in
// that one before.
func (m *Memory) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder, err := m.walk(split(name))
	if err == nil && !folder.isFolder() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return pathError("sync", name, err)
	}
	m.commit(folder)
	return nil
}

func (m *Memory) commit(folder *node) {
	folders := map[*node]bool{folder: true}
	taken := make([]bool, len(m.pending))
	for i, c := range slices.Backward(m.pending) {
		taken[i] = c.touches(folders)
		if taken[i] {
			for _, e := range c {
				folders[e.folder] = true
			}
		}
	}
	var rest []nameChange
	for i, c := range m.pending {
		if taken[i] {
			c.apply(durableNames)
		} else {
			rest = append(rest, c)
		}
	}
	m.pending = rest
}

func durableNames(n *node) map[string]*node { return n.durable }

func (c nameChange) touches(folders map[*node]bool) bool {
	return slices.ContainsFunc(c, func(e nameEdit) bool { return folders[e.folder] })
}

// Lock takes the lock of a file, which is made if it is not there.
func (m *Memory) Lock(name string) (unlock func() error, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.create(name)
	if err != nil {
		return nil, pathError("lock", name, err)
	}
	if n.locked {
		return nil, fmt.Errorf("%s: %w", name, ErrLocked)
	}
	n.locked = true
	held := true
	return func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !held {
			return pathError("unlock", name, fs.ErrClosed)
		}
		held, n.locked = false, false
		return nil
	}, nil
}

// Free says that there is no end to it.
func (m *Memory) Free(string) (free, total uint64, err error) {
	return math.MaxInt64, math.MaxInt64, nil
}

// info is a node as [fs.FileInfo] tells it.
type info struct {
	name     string
	size     int64
	mode     fs.FileMode
	modified time.Time
}

func (n *node) info(name string) info {
	if n.isFolder() {
		return info{name: name, mode: fs.ModeDir | 0o755, modified: n.modified}
	}
	return info{name: name, size: int64(len(n.data)), mode: 0o644, modified: n.modified}
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.modified }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
