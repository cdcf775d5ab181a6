package log

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// A log that moves to another folder is whole in one of them, or in both, when the power
// fails at any time; and what was appended where it was moved to is never in the shade
// of what it was before.
func TestMovingLogsSurvivePowerCuts(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 9))
		m := disk.NewMemory()
		for _, dir := range []string{"one", "two"} {
			if err := m.Mkdir(dir); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.SyncDir("."); err != nil {
			t.Fatal(err)
		}
		one, two := openTestDir(t, m, "one"), openTestDir(t, m, "two")
		l := openTestLog(t, one, testConfig())
		acked := appendAndFlush(t, rng, l)
		last := rng.IntN(5)
		acked = append(acked, moveUntil(t, rng, last, l, one, two)...)
		m = m.Crash(rng)
		wantOneWhole(t, m, seed, last, acked)
	}
}

// appendAndFlush appends batches that are on the disk when it returns.
func appendAndFlush(t *testing.T, rng *rand.Rand, l *Log) (all []record.Batch) {
	t.Helper()
	for range 1 + rng.IntN(8) {
		b := testBatch(t, 1+rng.IntN(5), 1+rng.IntN(1500), testTime.UnixMilli()+l.End())
		mustAppend(t, l, b)
		all = append(all, b)
	}
	for l.Flushed() < l.End() {
		time.Sleep(10 * time.Microsecond)
	}
	return all
}

// moveUntil does so many steps of a move, the last of which is to append to the log
// where it is then.
func moveUntil(t *testing.T, rng *rand.Rand, last int, l *Log, one, two *Dir) (appended []record.Batch) {
	t.Helper()
	annex, err := two.OpenAnnex(testPartition)
	if err != nil {
		t.Fatal(err)
	}
	var moved *Log
	steps := []func() error{
		func() error {
			replica := openTestLog(t, annex, testConfig())
			for replica.End() < l.End() {
				if _, err := replica.AppendReplicated(readBatchAt(t, l, replica.End()), testTime); err != nil {
					return err
				}
			}
			return nil
		},
		annex.Close,
		func() error { return two.Adopt(annex, testPartition) },
		func() error {
			if err := one.Delete(testPartition); err != nil {
				return err
			}
			return one.SyncNames()
		},
		func() error {
			moved = openTestLog(t, two, testConfig())
			appended = appendAndFlush(t, rng, moved)
			return nil
		},
	}
	for _, step := range steps[:last+1] {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return appended
}

// wantOneWhole opens the log in the first folder that has it.
func wantOneWhole(t *testing.T, m *disk.Memory, seed uint64, last int, acked []record.Batch) {
	t.Helper()
	for _, path := range []string{"one", "two"} {
		d := openTestDir(t, m, path)
		defer d.Close()
		if found, err := d.Folders(); err != nil || !slices.Contains(found, testPartition) {
			continue
		}
		l := openTestLog(t, d, testConfig())
		for _, b := range acked {
			if got := readBatchAt(t, l, b.BaseOffset()); !bytes.Equal(got, b) {
				t.Fatalf("seed %d, after step %d: the batch at %d is lost in %s; the log ends at %d", seed, last, b.BaseOffset(), path, l.End())
			}
		}
		return
	}
	t.Fatalf("seed %d, after step %d: the log is in neither folder", seed, last)
}

// What a stop leaves of an annex is deleted when its folder is opened.
func TestAnnexIsLeft(t *testing.T) {
	m := disk.NewMemory()
	d := openTestDir(t, m, "one")
	annex, err := d.OpenAnnex(testPartition)
	if err != nil {
		t.Fatal(err)
	}
	openTestLog(t, annex, testConfig())
	m = m.Kill()
	d = openTestDir(t, m, "one")
	d.removeDoomed(time.Now())
	entries, err := m.ReadDir("one")
	if err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() }) {
		t.Errorf("left: %v, %v", entries, err)
	}
}
