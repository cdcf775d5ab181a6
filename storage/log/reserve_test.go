package log

import (
	"strings"
	"sync"
	"testing"

	"github.com/klamm-io/klamm/storage/disk"
)

// rooms is a file system that notes how much room each file has on the disk.
type rooms struct {
	disk.FS

	mu   sync.Mutex
	room map[string]int64 // guarded by mu
}

type roomyFile struct {
	disk.File
	rooms *rooms
}

func (r *rooms) OpenFile(name string) (disk.File, error) {
	f, err := r.FS.OpenFile(name)
	return roomyFile{f, r}, err
}

func (r *rooms) of(name string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.room[name]
}

func (f roomyFile) note(size int64) {
	f.rooms.mu.Lock()
	defer f.rooms.mu.Unlock()
	f.rooms.room[f.Name()] = size
}

func (f roomyFile) Preallocate(size int64) error {
	f.note(size)
	return f.File.Preallocate(size)
}

func (f roomyFile) Truncate(size int64) error {
	f.note(size)
	return f.File.Truncate(size)
}

// TestReservedRoom: a segment that grows has room ahead, at most as much as it has
// records and never beyond its largest size; one that is complete has none.
func TestReservedRoom(t *testing.T) {
	fsys := &rooms{FS: disk.NewMemory(), room: map[string]int64{}}
	d := openTestDir(t, fsys, "data")
	c := testConfig()
	c.SegmentBytes = 40 << 20
	l := openTestLog(t, d, c)
	first := l.active()
	for l.Segments() == 1 {
		size, room := first.size.Load(), fsys.of(first.records.name)
		switch {
		case size < reservedFrom && room > 0:
			t.Fatalf("a segment of %d bytes has room for %d", size, room)
		case size < reservedFrom:
		case room < size || room > min(2*size, size+reservedMost, int64(c.SegmentBytes)):
			t.Fatalf("a segment of %d bytes has room for %d", size, room)
		}
		mustAppend(t, l, testBatch(t, 1, 700_000, testTime.UnixMilli()))
	}
	if size, room := first.size.Load(), fsys.of(first.records.name); room != size {
		t.Errorf("a segment that was completed with %d bytes has room for %d", size, room)
	}
	for range 4 {
		mustAppend(t, l, testBatch(t, 1, 700_000, testTime.UnixMilli()))
	}
	last := l.active()
	if size, room := last.size.Load(), fsys.of(last.records.name); room <= size {
		t.Errorf("the active segment of %d bytes has room for %d", size, room)
	}
	if err := l.TruncateTo(last.base + 2); err != nil {
		t.Fatal(err)
	}
	if size, room := last.size.Load(), fsys.of(last.records.name); room != size {
		t.Errorf("a segment that was cut to %d bytes has room for %d", size, room)
	}
	mustAppend(t, l, testBatch(t, 1, 700_000, testTime.UnixMilli()))
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for name, room := range fsys.room {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		if size := sizeOf(t, fsys, name); room != size {
			t.Errorf("after the log was closed %s has %d bytes and room for %d", name, size, room)
		}
	}
}

func sizeOf(t *testing.T, fsys disk.FS, name string) int64 {
	t.Helper()
	info, err := fsys.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
