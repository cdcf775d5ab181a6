package disk

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Faulty is a file system whose disk can be told to fail. Its files have no
// descriptor, so that nothing is read past the faults.
type Faulty struct {
	inner FS

	mu sync.Mutex
	// Guarded by mu.
	failWrite int // writes until one fails, 0 for none
	full      bool
	fullIn    string // the folder whose disk is full, empty for none
	readOnly  bool
	failSync  bool
	failIn    string // the folder whose files fail to become durable, empty for none
	slowSync  time.Duration
	unread    []stretch
	flipped   []flip
}

// stretch is bytes of a file that cannot be read.
type stretch struct {
	name string
	off  int64
	end  int64
}

// flip is a bit that is read wrong.
type flip struct {
	name string
	off  int64
	mask byte
}

// NewFaulty returns a file system that works as inner does until it is told
// otherwise. Faults hold for files that are open already as well; where they
// name a file, it is by the name that it was opened with.
func NewFaulty(inner FS) *Faulty { return &Faulty{inner: inner} }

// FailWrite lets the nth write from now, 1 being the next, store half its bytes
// and fail for want of space (ENOSPC). Those after it succeed.
func (f *Faulty) FailWrite(n int) { f.set(func() { f.failWrite = n }) }

// Full says whether the disk is full: nothing can be written to a file or made
// (ENOSPC), but files can be cut, renamed and removed.
func (f *Faulty) Full(is bool) { f.set(func() { f.full = is }) }

// FullIn is Full for the disk that has one folder, and all below it; empty for none.
func (f *Faulty) FullIn(folder string) { f.set(func() { f.fullIn = folder }) }

// hasRoom reports whether something can be written to what has that name. The caller
// holds mu.
func (f *Faulty) hasRoom(name string) bool {
	below := f.fullIn != "" && (name == f.fullIn || strings.HasPrefix(name, f.fullIn+string(filepath.Separator)))
	return !f.full && !below
}

// ReadOnly says whether nothing at all can be changed (EROFS), as after an error
// that made the kernel distrust the disk.
func (f *Faulty) ReadOnly(is bool) { f.set(func() { f.readOnly = is }) }

// FailSync says whether files and folders fail to become durable (EIO).
func (f *Faulty) FailSync(does bool) { f.set(func() { f.failSync = does }) }

// FailSyncIn lets the files in one folder fail to become durable (EIO).
func (f *Faulty) FailSyncIn(folder string) { f.set(func() { f.failIn = filepath.Clean(folder) }) }

// SlowSync lets every sync take a while longer.
func (f *Faulty) SlowSync(by time.Duration) { f.set(func() { f.slowSync = by }) }

// FailRead lets reads fail (EIO) that touch n bytes of a file from off on.
func (f *Faulty) FailRead(name string, off, n int64) {
	f.set(func() { f.unread = append(f.unread, stretch{filepath.Clean(name), off, off + n}) })
}

// FlipBit lets reads see one bit (0 to 7, the lowest first) of the byte at off
// turned over. To flip it twice is to flip it back.
func (f *Faulty) FlipBit(name string, off int64, bit uint) {
	f.set(func() { f.flipped = append(f.flipped, flip{filepath.Clean(name), off, 1 << (bit % 8)}) })
}

// Heal ends all faults.
func (f *Faulty) Heal() {
	f.set(func() {
		f.failWrite, f.full, f.readOnly, f.failSync, f.slowSync, f.unread, f.flipped = 0, false, false, false, 0, nil, nil
		f.failIn, f.fullIn = "", ""
	})
}

func (f *Faulty) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// refuses returns what an operation that changes the disk fails with; grows says
// that it needs room.
func (f *Faulty) refuses(op, name string, grows bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.readOnly:
		return pathError(op, name, syscall.EROFS)
	case grows && !f.hasRoom(filepath.Clean(name)):
		return pathError(op, name, syscall.ENOSPC)
	}
	return nil
}

// Open opens a file to read.
func (f *Faulty) Open(name string) (File, error) { return f.wrap(f.inner.Open(name)) }

// OpenFile opens a file to read and write. On a full disk one that is there can
// be opened, but none made.
func (f *Faulty) OpenFile(name string) (File, error) {
	_, err := f.inner.Stat(name)
	if err := f.refuses("open", name, errors.Is(err, fs.ErrNotExist)); err != nil {
		return nil, err
	}
	return f.wrap(f.inner.OpenFile(name))
}

func (f *Faulty) wrap(file File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, fs: f}, nil
}

// Mkdir makes a folder and those above it.
func (f *Faulty) Mkdir(name string) error {
	if err := f.refuses("mkdir", name, true); err != nil {
		return err
	}
	return f.inner.Mkdir(name)
}

// Remove removes a file or an empty folder.
func (f *Faulty) Remove(name string) error {
	if err := f.refuses("remove", name, false); err != nil {
		return err
	}
	return f.inner.Remove(name)
}

// RemoveAll removes a file or a folder with all that is in it.
func (f *Faulty) RemoveAll(name string) error {
	if err := f.refuses("remove", name, false); err != nil {
		return err
	}
	return f.inner.RemoveAll(name)
}

// Rename gives a file or folder another name.
func (f *Faulty) Rename(from, to string) error {
	if err := f.refuses("rename", from, false); err != nil {
		return err
	}
	return f.inner.Rename(from, to)
}

// ReadDir lists a folder.
func (f *Faulty) ReadDir(name string) ([]fs.DirEntry, error) { return f.inner.ReadDir(name) }

// Stat tells about a file or folder.
func (f *Faulty) Stat(name string) (fs.FileInfo, error) { return f.inner.Stat(name) }

// ReadFile returns a file's bytes.
func (f *Faulty) ReadFile(name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close() // it was only read
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(file, 0, size))
}

// SyncDir makes the names in a folder durable.
func (f *Faulty) SyncDir(name string) error {
	if err := f.syncs(name); err != nil {
		return err
	}
	return f.inner.SyncDir(name)
}

// syncs takes the time that a sync is told to take, and fails if it is told to.
func (f *Faulty) syncs(name string) error {
	f.mu.Lock()
	slow, fails := f.slowSync, f.failSync || f.failIn != "" && filepath.Dir(filepath.Clean(name)) == f.failIn
	f.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	if fails {
		return pathError("sync", name, syscall.EIO)
	}
	return nil
}

// Lock takes the lock of a file.
func (f *Faulty) Lock(name string) (unlock func() error, err error) {
	if err := f.refuses("lock", name, false); err != nil {
		return nil, err
	}
	return f.inner.Lock(name)
}

// Free returns the bytes that can still be written, and those there are.
func (f *Faulty) Free(name string) (free, total uint64, err error) {
	free, total, err = f.inner.Free(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.hasRoom(filepath.Clean(name)) {
		free = 0
	}
	return free, total, err
}
