package disk_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"

	"github.com/klamm-io/klamm/storage/disk"
)

// each runs a test on every file system, in an empty folder of its own.
func each(t *testing.T, test func(t *testing.T, fsys disk.FS, folder string)) {
	systems := map[string]disk.FS{"real": disk.OS, "memory": disk.NewMemory(), "faulty": disk.NewFaulty(disk.NewMemory())}
	for name, fsys := range systems {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			must(t, fsys.Mkdir(folder))
			test(t, fsys, folder)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: got error %v, want %v", what, err, want)
	}
}

// put writes a file without syncing it.
func put(t *testing.T, fsys disk.FS, name, data string) disk.File {
	t.Helper()
	file, err := fsys.OpenFile(name)
	must(t, err)
	must(t, file.Truncate(0))
	_, err = file.WriteAt([]byte(data), 0)
	must(t, err)
	return file
}

// store writes a file and makes it durable.
func store(t *testing.T, fsys disk.FS, name, data string) {
	t.Helper()
	must(t, disk.WriteFileAtomic(fsys, name, []byte(data)))
}

func read(t *testing.T, fsys disk.FS, name string) string {
	t.Helper()
	data, err := fsys.ReadFile(name)
	must(t, err)
	return string(data)
}

func TestFileBytes(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, folder string) {
		name := filepath.Join(folder, "f")
		file := put(t, fsys, name, "abcdef")
		defer file.Close()
		_, err := file.WriteAt([]byte("XY"), 8)
		must(t, err)
		want(t, "a hole is zeros", read(t, fsys, name), "abcdef\x00\x00XY")
		must(t, file.Truncate(3))
		must(t, file.Truncate(5))
		want(t, "what was cut does not come back", read(t, fsys, name), "abc\x00\x00")
		must(t, file.Preallocate(1<<16))
		must(t, file.Preallocate(0))
		size, err := file.Size()
		must(t, err)
		want(t, "preallocation keeps the size", size, 5)
		must(t, file.Sync())
		want(t, "name", file.Name(), name)
	})
}

func TestReadsAtTheEnd(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, folder string) {
		file := put(t, fsys, filepath.Join(folder, "f"), "abc")
		defer file.Close()
		for _, c := range []struct {
			off  int64
			size int
			n    int
			err  error
		}{{0, 3, 3, nil}, {1, 3, 2, io.EOF}, {3, 1, 0, io.EOF}, {9, 1, 0, io.EOF}, {1, 1, 1, nil}} {
			n, err := file.ReadAt(make([]byte, c.size), c.off)
			if n != c.n || err != c.err {
				t.Errorf("read %d bytes at %d: got %d, %v; want %d, %v", c.size, c.off, n, err, c.n, c.err)
			}
		}
		if _, err := file.ReadAt(make([]byte, 1), -1); err == nil {
			t.Error("a read before the file's start succeeded")
		}
		if _, err := file.WriteAt(make([]byte, 1), -1); err == nil {
			t.Error("a write before the file's start succeeded")
		}
	})
}

func TestHandles(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, folder string) {
		name := filepath.Join(folder, "f")
		writer := put(t, fsys, name, "abc")
		reader, err := fsys.Open(name)
		must(t, err)
		if _, err := reader.WriteAt([]byte("z"), 0); err == nil {
			t.Error("a file that was opened to read was written to")
		}
		must(t, fsys.Remove(name))
		got := make([]byte, 3)
		_, err = reader.ReadAt(got, 0)
		must(t, err)
		want(t, "a removed file can be read by who has it open", string(got), "abc")
		must(t, writer.Close())
		wantError(t, "write after close", second(writer.WriteAt([]byte("z"), 0)), fs.ErrClosed)
		wantError(t, "read after close", second(writer.ReadAt(got, 0)), fs.ErrClosed)
		wantError(t, "sync after close", writer.Sync(), fs.ErrClosed)
		wantError(t, "close after close", writer.Close(), fs.ErrClosed)
		must(t, reader.Close())
	})
}

func second[T any](_ T, err error) error { return err }

func TestDescriptors(t *testing.T) {
	for _, c := range []struct {
		fsys disk.FS
		has  bool
	}{{disk.OS, true}, {disk.NewMemory(), false}, {disk.NewFaulty(disk.OS), false}} {
		folder := t.TempDir()
		must(t, c.fsys.Mkdir(folder))
		file := put(t, c.fsys, filepath.Join(folder, "f"), "")
		_, has := file.Fd()
		want(t, "has a descriptor", has, c.has)
		must(t, file.Close())
	}
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, folder string) {
		in := func(steps ...string) string { return filepath.Join(append([]string{folder}, steps...)...) }
		must(t, fsys.Mkdir(in("a", "b")))
		must(t, fsys.Mkdir(in("a", "b")))
		must(t, put(t, fsys, in("a", "b", "two"), "2").Close())
		must(t, put(t, fsys, in("a", "b", "one"), "1").Close())
		want(t, "list", list(t, fsys, in("a", "b")), "one two ")

		wantError(t, "make a file where no folder is", second(fsys.OpenFile(in("none", "f"))), fs.ErrNotExist)
		wantError(t, "open what is not there", second(fsys.Open(in("none"))), fs.ErrNotExist)
		wantError(t, "stat what is not there", second(fsys.Stat(in("none"))), fs.ErrNotExist)
		wantError(t, "read what is not there", second(fsys.ReadFile(in("none"))), fs.ErrNotExist)
		wantError(t, "list what is not there", second(fsys.ReadDir(in("none"))), fs.ErrNotExist)
		wantError(t, "remove what is not there", fsys.Remove(in("none")), fs.ErrNotExist)
		wantError(t, "sync a folder that is not there", fsys.SyncDir(in("none")), fs.ErrNotExist)
		wantError(t, "rename what is not there", fsys.Rename(in("none"), in("x")), fs.ErrNotExist)
		must(t, fsys.RemoveAll(in("none")))
		must(t, fsys.RemoveAll(in("none", "none")))
		if fsys.Remove(in("a")) == nil {
			t.Error("a folder that is not empty was removed")
		}
		if fsys.Mkdir(in("a", "b", "one")) == nil {
			t.Error("a folder was made where a file is")
		}

		must(t, fsys.Rename(in("a", "b", "one"), in("a", "b", "two")))
		want(t, "a rename replaces", read(t, fsys, in("a", "b", "two")), "1")
		must(t, fsys.Rename(in("a"), in("c")))
		want(t, "a folder takes along what is in it", list(t, fsys, in("c", "b")), "two ")
		if fsys.Rename(in("c"), in("c", "b", "c")) == nil {
			t.Error("a folder was moved into itself")
		}
		must(t, fsys.SyncDir(in("c", "b")))
		must(t, fsys.RemoveAll(in("c")))
		want(t, "all is gone", list(t, fsys, folder), "")
	})
}

func list(t *testing.T, fsys disk.FS, name string) string {
	t.Helper()
	entries, err := fsys.ReadDir(name)
	must(t, err)
	names := ""
	for _, e := range entries {
		names += e.Name() + " "
	}
	return names
}

func TestStat(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, folder string) {
		name := filepath.Join(folder, "f")
		must(t, put(t, fsys, name, "abc").Close())
		file, err := fsys.Stat(name)
		must(t, err)
		want(t, "name", file.Name(), "f")
		want(t, "size", file.Size(), 3)
		want(t, "is a folder", file.IsDir(), false)
		want(t, "has a time", file.ModTime().IsZero(), false)
		dir, err := fsys.Stat(folder)
		must(t, err)
		want(t, "is a folder", dir.IsDir(), true)
		entries, err := fsys.ReadDir(folder)
		must(t, err)
		want(t, "an entry that is a folder", entries[0].IsDir(), false)
	})
}

func TestLock(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, folder string) {
		name := filepath.Join(folder, ".lock")
		unlock, err := fsys.Lock(name)
		must(t, err)
		wantError(t, "lock twice", second(fsys.Lock(name)), disk.ErrLocked)
		must(t, unlock())
		again, err := fsys.Lock(name)
		must(t, err)
		if unlock() == nil {
			t.Error("one holder unlocked twice")
		}
		wantError(t, "lock what the second holder has", second(fsys.Lock(name)), disk.ErrLocked)
		must(t, again())
	})
}

func TestFree(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, folder string) {
		free, total, err := fsys.Free(folder)
		must(t, err)
		if total == 0 || free > total {
			t.Errorf("%d of %d bytes are free", free, total)
		}
	})
	wantError(t, "a folder that is not there", thirdError(disk.OS.Free(filepath.Join(t.TempDir(), "none"))), fs.ErrNotExist)
}

func thirdError(_, _ uint64, err error) error { return err }

func TestWriteFileAtomic(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, folder string) {
		name := filepath.Join(folder, "f")
		store(t, fsys, name, "old, and long")
		store(t, fsys, name, "new")
		want(t, "content", read(t, fsys, name), "new")
		want(t, "nothing else is left", list(t, fsys, folder), "f ")
	})
}

func TestWriteFileAtomicKeepsTheOldWhereItFails(t *testing.T) {
	faults := map[string]func(*disk.Faulty){
		"full from the start": func(f *disk.Faulty) { f.Full(true) },
		"full at the write":   func(f *disk.Faulty) { f.FailWrite(1) },
		"read only":           func(f *disk.Faulty) { f.ReadOnly(true) },
		"no sync":             func(f *disk.Faulty) { f.FailSync(true) },
	}
	for what, fault := range faults {
		t.Run(what, func(t *testing.T) {
			fsys := disk.NewFaulty(disk.NewMemory())
			store(t, fsys, "f", "old")
			fault(fsys)
			if disk.WriteFileAtomic(fsys, "f", []byte("new")) == nil {
				t.Fatal("no error")
			}
			want(t, "content", read(t, fsys, "f"), "old")
			want(t, "nothing else is left", list(t, fsys, "."), "f ")
		})
	}
}

// Readers and writers of one file, and of the names around it, may run at once;
// the race detector judges.
func TestConcurrentUse(t *testing.T) {
	each(t, func(t *testing.T, fsys disk.FS, folder string) {
		name := filepath.Join(folder, "f")
		file := put(t, fsys, name, "")
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				mine := bytes.Repeat([]byte{byte('a' + i)}, 100)
				for range 50 {
					_, err := file.WriteAt(mine, int64(i*100))
					got := make([]byte, 100)
					_, readErr := file.ReadAt(got, int64(i*100))
					if err := errors.Join(err, readErr, file.Sync(), second(fsys.Stat(name)), second(fsys.ReadDir(folder))); err != nil {
						t.Error(err)
					}
					if !bytes.Equal(got, mine) {
						t.Errorf("writer %d read %q", i, got)
					}
				}
			})
		}
		group.Wait()
		must(t, file.Close())
	})
}
