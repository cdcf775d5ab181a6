package log

import (
	"strings"
	"sync"
	"testing"
	"time"

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

// TestReservedRoom: a segment that grows by large flushes has room ahead, at most as much as it has
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
		appendFlushed(t, l, 700_000)
	}
	if size, room := first.size.Load(), fsys.of(first.records.name); room != size {
		t.Errorf("a segment that was completed with %d bytes has room for %d", size, room)
	}
	for range 4 {
		appendFlushed(t, l, 700_000)
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
	appendFlushed(t, l, 700_000)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for name, room := range fsys.room {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		if size := sizeOf(t, fsys, name); room > size {
			t.Errorf("after the log was closed %s has %d bytes and room for %d", name, size, room)
		}
	}
}

// appendFlushed appends a batch of about so many bytes, and waits for its flush.
func appendFlushed(t *testing.T, l *Log, bytes int) {
	t.Helper()
	mustAppend(t, l, testBatch(t, 1, bytes, testTime.UnixMilli()))
	waitFlushed(t, l)
}

// TestZerosAhead: a segment that grows by small flushes has zeros ahead, at most as
// many as it has records and never beyond its largest size; one that is complete, or
// of a log that was closed, or recovered, has none.
func TestZerosAhead(t *testing.T) {
	m := durableFolder(t)
	d := openTestDir(t, m, "data")
	c := testConfig()
	c.SegmentBytes = 1 << 20
	l := openTestLog(t, d, c)
	first, most := l.active(), int64(0)
	for appendFlushed(t, l, 3000); l.Segments() == 1; appendFlushed(t, l, 3000) {
		size, file := first.size.Load(), sizeOf(t, m, first.records.name)
		if file < size || file > min(2*size, size+1<<17, 1<<20) {
			t.Fatalf("a segment of %d bytes is a file of %d", size, file)
		}
		most = max(most, file-size)
	}
	if most < 1<<16 {
		t.Errorf("no more than %d zeros were written ahead", most)
	}
	if size, file := first.size.Load(), sizeOf(t, m, first.records.name); file != size {
		t.Errorf("a segment that was completed with %d bytes is a file of %d", size, file)
	}
	for l.active().size.Load() < 100_000 {
		appendFlushed(t, l, 3000)
	}
	last, end := l.active(), l.End()
	name, size := last.records.name, last.size.Load()
	if file := sizeOf(t, m, name); file <= size {
		t.Errorf("the active segment of %d bytes is a file of %d", size, file)
	}
	killed := m.Kill()
	for how, fsys := range map[string]*disk.Memory{"closed": m, "killed": killed} {
		if fsys == m {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		} else if l := openTestLog(t, openTestDir(t, fsys, "data"), c); l.End() != end {
			t.Errorf("the log ended at %d, and after it was %s at %d", end, how, l.End())
		}
		if file := sizeOf(t, fsys, name); file != size {
			t.Errorf("a segment of %d bytes is a file of %d after it was %s", size, file, how)
		}
	}
}

// TestZerosGoAtRest: a log to which nothing is appended for a moment has no zeros ahead
// of its end, as tools expect that read a live broker's files; and gets them again only
// when records flow again.
func TestZerosGoAtRest(t *testing.T) {
	m := durableFolder(t)
	d := openTestDir(t, m, "data")
	l := openTestLog(t, d, testConfig())
	ahead := func() int64 { return sizeOf(t, m, l.active().records.name) - l.active().size.Load() }
	for appendFlushed(t, l, 3000); ahead() == 0; appendFlushed(t, l, 3000) {
		if l.active().size.Load() > 1<<20 {
			t.Fatal("no zeros were written ahead")
		}
	}
	d.tick(time.Now())
	if ahead() == 0 {
		t.Error("the zeros are gone though records flow")
	}
	later := time.Now().Add(stillness)
	d.tick(later)
	if n := ahead(); n != 0 {
		t.Errorf("%d zeros are left at rest", n)
	}
	for range steadyFlow {
		appendFlushed(t, l, 100)
		if n := ahead(); n != 0 {
			t.Fatalf("there are %d zeros for a few records", n)
		}
	}
	appendFlushed(t, l, 100)
	if n := ahead(); n == 0 || n > zeroedTimes*(steadyFlow+1)*500 {
		t.Errorf("there are %d zeros for records that flow", n)
	}
	d.tick(time.Now().Add(stillness))
	if n := ahead(); n != 0 {
		t.Errorf("%d zeros are left at the second rest", n)
	}
}

// TestNoZerosAhead: what flushes a lot at once writes everything once.
func TestNoZerosAhead(t *testing.T) {
	m := durableFolder(t)
	l := openTestLog(t, openTestDir(t, m, "data"), testConfig())
	for range 20 {
		appendFlushed(t, l, 100_000)
		if s := l.active(); sizeOf(t, m, s.records.name) != s.size.Load() {
			t.Fatalf("a segment of %d bytes is a file of %d", s.size.Load(), sizeOf(t, m, s.records.name))
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
