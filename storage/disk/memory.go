package disk

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Memory is a file system in memory. It knows what a disk would have kept at
// every moment, so that [Memory.Crash] can cut the power.
//
// Names are taken from the root; a relative name means the same as the absolute
// one. Files have no limit of size, and there are no links.
type Memory struct {
	mu sync.RWMutex

	// Guarded by mu, as is every node.
	root    *node
	pending []nameChange // changes of names that no SyncDir made durable, in their order
}

// node is a file or a folder. A file that was removed lives on in its handles.
type node struct {
	modified time.Time
	locked   bool

	// Of a folder, else nil: its names now, and those that a power cut leaves.
	names   map[string]*node
	durable map[string]*node

	// Of a file: its bytes now, those that a power cut leaves for certain, and the
	// changes since, which are what the two differ by.
	data    []byte
	synced  []byte
	changes []dataChange
}

// nameChange is one operation on names; a rename changes two at once.
type nameChange []nameEdit

// nameEdit gives a name in a folder to a node, or to none.
type nameEdit struct {
	folder *node
	name   string
	to     *node
}

// NewMemory returns an empty file system.
func NewMemory() *Memory { return &Memory{root: newFolder()} }

func newFolder() *node {
	return &node{names: map[string]*node{}, durable: map[string]*node{}, modified: time.Now()}
}

func (n *node) isFolder() bool { return n.names != nil }

// split returns the steps from the root to name.
func split(name string) []string {
	name = strings.Trim(filepath.ToSlash(filepath.Clean(name)), "/")
	if name == "" || name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

// walk returns the node that the steps lead to.
func (m *Memory) walk(steps []string) (*node, error) {
	at := m.root
	for _, step := range steps {
		if !at.isFolder() {
			return nil, syscall.ENOTDIR
		}
		if at = at.names[step]; at == nil {
			return nil, fs.ErrNotExist
		}
	}
	return at, nil
}

// parent returns the folder that name is in, and its last step.
func (m *Memory) parent(name string) (*node, string, error) {
	steps := split(name)
	if len(steps) == 0 {
		return nil, "", fs.ErrInvalid
	}
	last := len(steps) - 1
	folder, err := m.walk(steps[:last])
	if err == nil && !folder.isFolder() {
		err = syscall.ENOTDIR
	}
	return folder, steps[last], err
}

// change takes in an operation on names.
func (m *Memory) change(edits ...nameEdit) {
	nameChange(edits).apply(func(n *node) map[string]*node { return n.names })
	for _, e := range edits {
		e.folder.modified = time.Now()
	}
	m.pending = append(m.pending, edits)
}

func (c nameChange) apply(names func(*node) map[string]*node) {
	for _, e := range c {
		if e.to == nil {
			delete(names(e.folder), e.name)
		} else {
			names(e.folder)[e.name] = e.to
		}
	}
}

// Open opens a file to read.
func (m *Memory) Open(name string) (File, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.walk(split(name))
	if err == nil && n.isFolder() {
		err = syscall.EISDIR
	}
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &memoryFile{fs: m, node: n, name: name}, nil
}

// OpenFile opens a file to read and write, and makes it if it is not there.
func (m *Memory) OpenFile(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.create(name)
	if err != nil {
		return nil, pathError("open", name, err)
	}
	return &memoryFile{fs: m, node: n, name: name, writable: true}, nil
}

func (m *Memory) create(name string) (*node, error) {
	folder, last, err := m.parent(name)
	if err != nil {
		return nil, err
	}
	n := folder.names[last]
	switch {
	case n == nil:
		n = &node{modified: time.Now()}
		m.change(nameEdit{folder, last, n})
	case n.isFolder():
		return nil, syscall.EISDIR
	}
	return n, nil
}

// Mkdir makes a folder and those above it.
func (m *Memory) Mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.root
	for _, step := range split(name) {
		next := at.names[step]
		switch {
		case next == nil:
			next = newFolder()
			m.change(nameEdit{at, step, next})
		case !next.isFolder():
			return pathError("mkdir", name, syscall.ENOTDIR)
		}
		at = next
	}
	return nil
}

// Remove removes a file or an empty folder.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder, last, err := m.parent(name)
	if err != nil {
		return pathError("remove", name, err)
	}
	n := folder.names[last]
	switch {
	case n == nil:
		return pathError("remove", name, fs.ErrNotExist)
	case len(n.names) > 0:
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	m.change(nameEdit{folder, last, nil})
	return nil
}

// RemoveAll removes a file or a folder with all that is in it.
func (m *Memory) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	folder, last, err := m.parent(name)
	if err != nil || folder.names[last] == nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return pathError("remove", name, err)
	}
	m.clear(folder.names[last])
	m.change(nameEdit{folder, last, nil})
	return nil
}

// clear empties a folder name by name, as a kernel has to: a power cut may leave
// it half empty.
func (m *Memory) clear(n *node) {
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		m.clear(n.names[name])
		m.change(nameEdit{n, name, nil})
	}
}

// Rename gives a file or folder another name; a file that has that name is
// replaced.
func (m *Memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.rename(from, to); err != nil {
		return pathError("rename", from+" to "+to, err)
	}
	return nil
}

func (m *Memory) rename(from, to string) error {
	folder, last, err := m.parent(from)
	if err != nil {
		return err
	}
	newFolder, newLast, err := m.parent(to)
	if err != nil {
		return err
	}
	n, replaced := folder.names[last], newFolder.names[newLast]
	switch {
	case n == nil:
		return fs.ErrNotExist
	case n == replaced:
		return nil
	case n.isFolder() && slices.Equal(split(from), split(to)[:min(len(split(from)), len(split(to)))]):
		return fs.ErrInvalid // into itself
	case replaced != nil && replaced.isFolder() != n.isFolder():
		return fs.ErrExist
	case replaced != nil && len(replaced.names) > 0:
		return syscall.ENOTEMPTY
	}
	m.change(nameEdit{folder, last, nil}, nameEdit{newFolder, newLast, n})
	return nil
}
