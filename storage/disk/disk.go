// Package disk is the seam between the log and the file system: [OS] is the real
// one, [Memory] one that can lose its power, and [Faulty] one whose disk fails.
//
// The package starts no goroutines. Everything in it is safe for concurrent use.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// ErrLocked says that another process, or another part of this one, holds a lock.
var ErrLocked = errors.New("locked by another process")

// File is an open file. Reads and writes may run at the same time.
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	// Sync makes the file's bytes and size durable (fdatasync).
	Sync() error
	// Preallocate reserves room for size bytes and leaves the file's size as it is.
	// Where the file system cannot, nothing happens.
	Preallocate(size int64) error
	Size() (int64, error)
	// Fd is the kernel's descriptor, for sendfile; ok is false where there is none.
	Fd() (fd uintptr, ok bool)
	Close() error
	Name() string
}

// FS is a file system.
type FS interface {
	Open(name string) (File, error)     // to read
	OpenFile(name string) (File, error) // to read and write, made if it is not there
	Mkdir(name string) error            // with its parents; there already is no error
	Remove(name string) error
	RemoveAll(name string) error // there no more is no error
	Rename(from, to string) error
	ReadDir(name string) ([]fs.DirEntry, error) // sorted by name
	Stat(name string) (fs.FileInfo, error)
	ReadFile(name string) ([]byte, error)
	// SyncDir makes the names in a folder durable.
	SyncDir(name string) error
	// Lock takes an exclusive lock that lasts until unlock or the process's end.
	// Where it is held, the error is ErrLocked.
	Lock(name string) (unlock func() error, err error)
	// Free returns the bytes that can still be written, and those there are.
	Free(name string) (free, total uint64, err error)
}

// Region is a stretch of a file.
type Region struct {
	File File
	Off  int64
	Len  int
}

// WriteFileAtomic replaces a file's content: after a stop at any moment it holds
// the old or the new, and after WriteFileAtomic returned, the new. Where it
// fails before the new has taken the old one's place, the old stays. It may not
// run twice at once for one name.
func WriteFileAtomic(fsys FS, name string, data []byte) error {
	temporary := name + ".tmp"
	err := writeDurable(fsys, temporary, data)
	if err == nil {
		err = fsys.Rename(temporary, name)
	}
	if err != nil {
		_ = fsys.Remove(temporary) // on a full disk its room is needed; the next write replaces it anyway
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("write %s: flush its folder: %w", name, err)
	}
	return nil
}

func writeDurable(fsys FS, name string, data []byte) error {
	file, err := fsys.OpenFile(name)
	if err != nil {
		return err
	}
	return errors.Join(fill(file, data), file.Close())
}

func fill(file File, data []byte) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	if _, err := file.WriteAt(data, 0); err != nil {
		return err
	}
	return file.Sync()
}
