package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/storage/disk"
)

// tapped is a disk that calls tap before each operation that changes it, which
// may refuse it.
type tapped struct {
	disk.FS
	tap func(op, name string) error
}

type tappedFile struct {
	disk.File
	fs *tapped
}

func (f *tapped) OpenFile(name string) (disk.File, error) {
	if err := f.tap("open", name); err != nil {
		return nil, err
	}
	file, err := f.FS.OpenFile(name)
	if err != nil {
		return nil, err
	}
	return &tappedFile{file, f}, nil
}

func (f *tapped) Remove(name string) error {
	return errors.Join(f.tap("remove", name), f.FS.Remove(name))
}

func (f *tapped) RemoveAll(name string) error {
	if err := f.tap("remove", name); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

func (f *tapped) Rename(from, to string) error {
	if err := f.tap("rename", from+" "+to); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *tapped) SyncDir(name string) error {
	if err := f.tap("sync", name); err != nil {
		return err
	}
	return f.FS.SyncDir(name)
}

func (f *tappedFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.tap("write", f.Name()); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *tappedFile) Truncate(size int64) error {
	if err := f.fs.tap("truncate", f.Name()); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *tappedFile) Sync() error {
	if err := f.fs.tap("sync", f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}

// written is a log with much to compact, on a disk where nothing is tapped yet.
type written struct {
	disk *disk.Memory
	fs   *tapped
	dir  *Dir
	log  *Log
	w    *writer
}

// writeMuch writes a log of some segments, part of it compacted before, with
// everything committed.
func writeMuch(t testing.TB, rng *rand.Rand) *written {
	t.Helper()
	it := &written{disk: durableFolder(t)}
	it.fs = &tapped{it.disk, func(string, string) error { return nil }}
	it.dir = openTestDir(t, it.fs, "data")
	it.log = openTestLog(t, it.dir, compactConfig())
	it.w = newWriter(t, rng, it.log)
	for range 2 {
		for range 50 {
			it.w.step()
		}
		it.w.endAll()
		commit(t, it.log)
		if it.dir.compactedTo(it.log) < 0 {
			compactAll(t, testCleaner(it.dir, 1), it.w.now)
		}
	}
	it.log.SetConfig(largerSegments())
	return it
}

// largerSegments lets several segments become one.
func largerSegments() Config {
	c := compactConfig()
	c.SegmentBytes *= 4
	return c
}

// reopened is the log as a start finds it on what a power cut left.
func reopened(t testing.TB, m *disk.Memory) (*Dir, *Log) {
	t.Helper()
	d := openTestDir(t, m, "data")
	l := openTestLog(t, d, largerSegments())
	l.SetHighWatermark(l.End())
	return d, l
}

// A power cut before any operation of a compaction leaves a log that has the
// newest of each key, and whose compaction goes on.
func TestPowerCutsAtEveryStepOfACompaction(t *testing.T) {
	for seed := range uint64(2) {
		rng := rand.New(rand.NewPCG(seed, 4))
		it := writeMuch(t, rng)
		type cut struct {
			before string
			disk   *disk.Memory
		}
		var cuts []cut
		it.fs.tap = func(op, name string) error {
			cuts = append(cuts, cut{op + " " + name, it.disk.Crash(rng)})
			return nil
		}
		compactAll(t, testCleaner(it.dir, 1), it.w.now)
		for i, c := range cuts {
			where := fmt.Sprintf("seed %d, cut %d, before %s", seed, i, c.before)
			d, l := reopened(t, c.disk)
			if l.End() != it.log.End() || l.Start() != 0 {
				t.Fatalf("%s: the log has %d to %d, want 0 to %d", where, l.Start(), l.End(), it.log.End())
			}
			if err := wantCompacted(l, it.w.all, 0); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			compactAll(t, testCleaner(d, 1<<20), it.w.now)
			if err := wantCompacted(l, it.w.all, sealedWhole(l)); err != nil {
				t.Fatalf("%s, compacted after: %v", where, err)
			}
			if left := leftovers(t, c.disk, l); len(left) > 0 {
				t.Fatalf("%s: files are left: %v", where, left)
			}
		}
		if len(cuts) < 30 {
			t.Errorf("seed %d: only %d operations", seed, len(cuts))
		}
	}
}

// leftovers are files of a log that should not stay, but for deleted ones.
func leftovers(t testing.TB, fsys disk.FS, l *Log) (names []string) {
	t.Helper()
	entries, err := fsys.ReadDir(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), cleanedSuffix) || strings.HasSuffix(e.Name(), swapSuffix) {
			names = append(names, e.Name())
		}
	}
	return names
}

var errTapped = errors.New("the disk refuses")

// Whichever operation of a compaction the disk refuses, the log stays readable or
// takes itself out of use; after a restart it has the newest of each key.
func TestEveryStepOfACompactionMayFail(t *testing.T) {
	const seed = 5
	steps := 1 << 30
	for fails := 0; fails < steps; fails++ {
		rng := rand.New(rand.NewPCG(seed, 5))
		it := writeMuch(t, rng)
		done, what := 0, ""
		it.fs.tap = func(op, name string) error {
			if done++; done-1 == fails {
				what = op + " " + name
				return errTapped
			}
			return nil
		}
		testCleaner(it.dir, 1<<20).newCompactor().once(t.Context(), it.w.now)
		it.fs.tap = func(string, string) error { return nil }
		if what == "" {
			steps = fails
		}
		where := fmt.Sprintf("step %d fails, %s", fails, what)
		if it.log.Failed() == nil {
			if err := wantCompacted(it.log, it.w.all, 0); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			if left := leftovers(t, it.disk, it.log); len(left) > 0 {
				t.Fatalf("%s: files are left: %v", where, left)
			}
		}
		for _, m := range []*disk.Memory{it.disk.Crash(rng), it.disk} {
			if m == it.disk && it.dir.Close() != nil && it.log.Failed() == nil {
				t.Fatalf("%s: the folder cannot be closed", where)
			}
			_, l := reopened(t, m)
			if err := wantCompacted(l, it.w.all, 0); err != nil {
				t.Fatalf("%s, after a restart: %v", where, err)
			}
		}
	}
	if steps < 30 || steps == 1<<30 {
		t.Errorf("%d steps", steps)
	}
}
