package disk_test

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm-io/klamm/storage/disk"
)

func newFaulty(t *testing.T, data string) (*disk.Faulty, disk.File) {
	t.Helper()
	fsys := disk.NewFaulty(disk.NewMemory())
	return fsys, put(t, fsys, "f", data)
}

func TestFailWrite(t *testing.T) {
	fsys, file := newFaulty(t, "")
	fsys.FailWrite(2)
	_, err := file.WriteAt([]byte("abcd"), 0)
	must(t, err)
	n, err := file.WriteAt([]byte("efgh"), 4)
	wantError(t, "the second write", err, syscall.ENOSPC)
	want(t, "bytes written", n, 2)
	want(t, "what is there", read(t, fsys, "f"), "abcdef")
	_, err = file.WriteAt([]byte("IJ"), 4)
	must(t, err)
	want(t, "what is there", read(t, fsys, "f"), "abcdIJ")
}

func TestFull(t *testing.T) {
	fsys, file := newFaulty(t, "abc")
	fsys.Full(true)
	n, err := file.WriteAt([]byte("x"), 0)
	wantError(t, "write", err, syscall.ENOSPC)
	want(t, "bytes written", n, 0)
	wantError(t, "make a file", second(fsys.OpenFile("g")), syscall.ENOSPC)
	wantError(t, "make a folder", fsys.Mkdir("d"), syscall.ENOSPC)
	wantError(t, "preallocate", file.Preallocate(1), syscall.ENOSPC)
	free, _, err := fsys.Free("/")
	must(t, err)
	want(t, "free bytes", free, 0)
	must(t, file.Truncate(1))
	must(t, file.Sync())
	again, err := fsys.OpenFile("f")
	must(t, err)
	must(t, again.Close())
	must(t, fsys.Rename("f", "g"))
	must(t, fsys.Remove("g"))
	fsys.Full(false)
	must(t, put(t, fsys, "h", "x").Close())
}

func TestReadOnly(t *testing.T) {
	fsys, file := newFaulty(t, "abc")
	fsys.ReadOnly(true)
	for what, err := range map[string]error{
		"write":       second(file.WriteAt([]byte("x"), 0)),
		"truncate":    file.Truncate(0),
		"preallocate": file.Preallocate(1),
		"open":        second(fsys.OpenFile("f")),
		"mkdir":       fsys.Mkdir("d"),
		"remove":      fsys.Remove("f"),
		"remove all":  fsys.RemoveAll("f"),
		"rename":      fsys.Rename("f", "g"),
		"lock":        second(fsys.Lock("lock")),
	} {
		wantError(t, what, err, syscall.EROFS)
	}
	want(t, "what is there", read(t, fsys, "f"), "abc")
	fsys.Heal()
	must(t, file.Truncate(0))
}

func TestFailSync(t *testing.T) {
	fsys, file := newFaulty(t, "abc")
	fsys.FailSync(true)
	wantError(t, "file", file.Sync(), syscall.EIO)
	wantError(t, "folder", fsys.SyncDir("/"), syscall.EIO)
	fsys.FailSync(false)
	must(t, file.Sync())
	must(t, fsys.SyncDir("/"))
}

func TestSlowSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys, file := newFaulty(t, "abc")
		fsys.SlowSync(3 * time.Second)
		begun := time.Now()
		must(t, file.Sync())
		want(t, "time taken", time.Since(begun), 3*time.Second)
	})
}

func TestFailRead(t *testing.T) {
	fsys, file := newFaulty(t, "abcdef")
	fsys.FailRead("./f", 2, 2)
	for _, c := range []struct {
		off   int64
		size  int
		fails bool
	}{{0, 2, false}, {0, 3, true}, {2, 1, true}, {3, 3, true}, {4, 2, false}} {
		_, err := file.ReadAt(make([]byte, c.size), c.off)
		want(t, "read fails", err != nil, c.fails)
		if c.fails {
			wantError(t, "read", err, syscall.EIO)
		}
	}
	wantError(t, "the whole file", second(fsys.ReadFile("f")), syscall.EIO)
	must(t, put(t, fsys, "g", "abcdef").Close())
	want(t, "another file", read(t, fsys, "g"), "abcdef")
	fsys.Heal()
	want(t, "healed", read(t, fsys, "f"), "abcdef")
}

func TestFlipBit(t *testing.T) {
	fsys, file := newFaulty(t, "abc")
	fsys.FlipBit("f", 1, 5)
	want(t, "whole", read(t, fsys, "f"), "aBc")
	for _, c := range []struct {
		off  int64
		want string
	}{{0, "a"}, {1, "B"}, {2, "c"}} {
		got := make([]byte, 1)
		_, err := file.ReadAt(got, c.off)
		must(t, err)
		want(t, "byte", string(got), c.want)
	}
	fsys.FlipBit("f", 1, 5)
	want(t, "flipped back", read(t, fsys, "f"), "abc")
}
