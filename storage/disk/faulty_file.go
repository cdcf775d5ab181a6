package disk

import (
	"errors"
	"path/filepath"
	"syscall"
)

// faultyFile is a handle of a file on a disk that can be told to fail.
type faultyFile struct {
	File
	fs *Faulty
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if f.fs.cannotRead(f.Name(), off, int64(len(p))) {
		return 0, pathError("read", f.Name(), syscall.EIO)
	}
	n, err := f.File.ReadAt(p, off)
	f.fs.flipBits(f.Name(), p[:n], off)
	return n, err
}

func (f *Faulty) cannotRead(name string, off, n int64) bool {
	name = filepath.Clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.unread {
		if s.name == name && off < s.end && s.off < off+n {
			return true
		}
	}
	return false
}

// flipBits turns bits over in p, which was read at off.
func (f *Faulty) flipBits(name string, p []byte, off int64) {
	name = filepath.Clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.flipped {
		if b.name == name && off <= b.off && b.off < off+int64(len(p)) {
			p[b.off-off] ^= b.mask
		}
	}
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.refuses("write", f.Name(), true); err != nil {
		return 0, err
	}
	if !f.fs.countWrite() {
		return f.File.WriteAt(p, off)
	}
	n, err := f.File.WriteAt(p[:len(p)/2], off)
	return n, errors.Join(err, pathError("write", f.Name(), syscall.ENOSPC))
}

// countWrite reports whether this is the write that was told to fail.
func (f *Faulty) countWrite() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failWrite == 0 {
		return false
	}
	f.failWrite--
	return f.failWrite == 0
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.fs.refuses("truncate", f.Name(), false); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Preallocate(size int64) error {
	if err := f.fs.refuses("preallocate", f.Name(), true); err != nil {
		return err
	}
	return f.File.Preallocate(size)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.syncs(f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Fd() (fd uintptr, ok bool) { return 0, false }
