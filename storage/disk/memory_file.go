package disk

import (
	"io"
	"io/fs"
	"time"
)

// dataChange is a change to a file's bytes: bytes written at an offset, or, if
// truncate is set, a new size.
type dataChange struct {
	off      int64
	bytes    []byte
	truncate bool
}

// apply returns data with the change made to it. It may use data's memory.
func (c dataChange) apply(data []byte) []byte {
	if c.truncate {
		return resize(data, c.off)
	}
	if end := c.off + int64(len(c.bytes)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[c.off:], c.bytes)
	return data
}

// resize cuts data off, or fills it up with zeros.
func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// memoryFile is a handle of a file.
type memoryFile struct {
	fs       *Memory
	node     *node
	name     string
	writable bool
	closed   bool // guarded by fs.mu
}

// usable says why the handle cannot be used. The caller holds fs.mu.
func (f *memoryFile) usable(op string, write bool) error {
	switch {
	case f.closed:
		return pathError(op, f.name, fs.ErrClosed)
	case write && !f.writable:
		return pathError(op, f.name, fs.ErrPermission)
	}
	return nil
}

func (f *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if err := f.usable("read", false); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("read", f.name, fs.ErrInvalid)
	}
	if off >= int64(len(f.node.data)) && len(p) > 0 {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[min(off, int64(len(f.node.data))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, pathError("write", f.name, fs.ErrInvalid)
	}
	if err := f.change("write", dataChange{off: off, bytes: append([]byte(nil), p...)}); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (f *memoryFile) Truncate(size int64) error {
	if size < 0 {
		return pathError("truncate", f.name, fs.ErrInvalid)
	}
	return f.change("truncate", dataChange{off: size, truncate: true})
}

func (f *memoryFile) change(op string, c dataChange) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable(op, true); err != nil {
		return err
	}
	if !c.truncate && len(c.bytes) == 0 {
		return nil
	}
	f.node.data = c.apply(f.node.data)
	f.node.changes = append(f.node.changes, c)
	f.node.modified = time.Now()
	return nil
}

func (f *memoryFile) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable("sync", false); err != nil {
		return err
	}
	for _, c := range f.node.changes {
		f.node.synced = c.apply(f.node.synced)
	}
	f.node.changes = nil
	return nil
}

func (f *memoryFile) Preallocate(int64) error {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	return f.usable("preallocate", true)
}

func (f *memoryFile) Size() (int64, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	return int64(len(f.node.data)), f.usable("stat", false)
}

func (f *memoryFile) Fd() (fd uintptr, ok bool) { return 0, false }

func (f *memoryFile) Name() string { return f.name }

func (f *memoryFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.usable("close", false); err != nil {
		return err
	}
	f.closed = true
	return nil
}
