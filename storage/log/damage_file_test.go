package log

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/storage/disk"
)

// What a scrub found is known after a stop in order, before the next scrub; and
// forgotten when it is not there any more.
func TestDamageIsRemembered(t *testing.T) {
	faulty := disk.NewFaulty(durableFolder(t))
	d := openTestDir(t, faulty, "data")
	l := openTestLog(t, d, smallSegments())
	for range 12 {
		mustAppend(t, l, testBatch(t, 10, 100, testTime.UnixMilli()))
	}
	if l.Segments() < 3 {
		t.Fatalf("%d segments", l.Segments())
	}
	if err := d.Checkpoint(); err != nil { // what is not flushed is not scrubbed
		t.Fatal(err)
	}
	second := (*l.segments.Load())[1]
	faulty.FlipBit(second.records.name, 700, 1)
	if err := readFrom(l, second.base); err != nil {
		t.Fatalf("nobody knows of the damage, but: %v", err)
	}
	if err := d.scrubOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	restart := func() {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		d = openTestDir(t, faulty, "data")
		l = openTestLog(t, d, smallSegments())
	}
	for range 2 {
		restart()
		if err := readFrom(l, second.base); !errors.Is(err, kerr.CorruptMessage) {
			t.Errorf("after a restart: %v", err)
		}
		if err := readFrom(l, 0); err != nil {
			t.Errorf("a sound segment after a restart: %v", err)
		}
	}
	faulty.FlipBit(second.records.name, 700, 1)
	restart()
	if err := readFrom(l, second.base); err != nil {
		t.Errorf("the damage is gone, but: %v", err)
	}
	if slices.Contains(filesOf(t, l), damageFile) {
		t.Error("its file is still there")
	}
}

// Where the end of a segment is gone its last records are damaged, and those of the
// next segment do not take their place.
func TestSegmentWithoutItsEnd(t *testing.T) {
	fs := durableFolder(t)
	d := openTestDir(t, fs, "data")
	l := openTestLog(t, d, smallSegments())
	for range 12 {
		mustAppend(t, l, testBatch(t, 10, 100, testTime.UnixMilli()))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	segments := *l.segments.Load()
	file, err := fs.OpenFile(segments[0].records.name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(segments[0].size.Load() - 100); err != nil {
		t.Fatal(err)
	}
	d = openTestDir(t, fs, "data")
	l = openTestLog(t, d, smallSegments())
	if err := d.scrubOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{segments[1].base - 10, segments[1].base - 1} {
		if err := readFrom(l, offset); !errors.Is(err, kerr.CorruptMessage) {
			t.Errorf("offset %d: %v", offset, err)
		}
	}
	for _, offset := range []int64{0, segments[1].base} {
		if err := readFrom(l, offset); err != nil {
			t.Errorf("offset %d: %v", offset, err)
		}
	}
}

func readFrom(l *Log, offset int64) error {
	found, err := l.Read(offset, 1<<20, l.End(), true)
	found.Close()
	return err
}
