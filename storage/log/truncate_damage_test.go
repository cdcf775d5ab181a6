package log

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// spoil turns over a bit in some segment's file.
func spoil(t *testing.T, m *disk.Memory, s *segment, position int64) {
	t.Helper()
	file, err := m.OpenFile(s.records.name)
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 1)
	if _, err := file.ReadAt(raw, position); err != nil {
		t.Fatal(err)
	}
	raw[0] ^= 1 << 4
	if _, err := file.WriteAt(raw, position); err != nil {
		t.Fatal(err)
	}
}

// Where a batch is damaged, in its header or behind it, a log can be truncated to any
// offset: before the damage, at it, and beyond. What is copied from its leader from
// the damage on makes it what it was.
func TestTruncateDamagedLog(t *testing.T) {
	const magic, payload = 16, 70
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 4))
		h := newHistory(t)
		for range 40 {
			h.grow(rng.IntN)
		}
		spoilt, at := rng.IntN(len(h.batches)-1), int64([]int{magic, payload}[rng.IntN(2)])
		offset := h.batches[rng.IntN(len(h.batches))].BaseOffset()
		when := fmt.Sprintf("seed %d: the batch at %d damaged in byte %d, truncated to %d", seed, h.batches[spoilt].BaseOffset(), at, offset)
		l := openDamaged(t, h.batches, spoilt, at)
		from, damaged, err := l.DamagedFrom()
		if err != nil || !damaged || h.batchOf(from) != spoilt {
			t.Fatalf("%s: damaged from %d, %v, %v", when, from, damaged, err)
		}
		if err := l.TruncateTo(offset); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if l.End() > offset || l.End() < offset-10 && offset <= from {
			t.Fatalf("%s: the log ends at %d", when, l.End())
		}
		if from < l.End() {
			if err := l.TruncateTo(from); err != nil {
				t.Fatalf("%s, and then to %d: %v", when, from, err)
			}
		}
		mustReplicate(t, l, h.batches[h.batchOf(l.End()):])
		if g, w := fmt.Sprintf("%+v", tell(t, l)), fmt.Sprintf("%+v", freshly(t, h.batches)); g != w {
			t.Fatalf("%s:\n got %q\nwant %q", when, g, w)
		}
	}
}

// batchOf returns the number of the first batch that ends after offset.
func (h *history) batchOf(offset int64) int {
	for i, b := range h.batches {
		if b.NextOffset() > offset {
			return i
		}
	}
	return len(h.batches)
}

// openDamaged opens a log in which one batch was damaged while the process was down.
func openDamaged(t *testing.T, batches []record.Batch, spoilt int, at int64) *Log {
	t.Helper()
	m := durableFolder(t)
	d := openTestDir(t, m, "data")
	l := openTestLog(t, d, smallSegments())
	mustReplicate(t, l, batches)
	segments := *l.segments.Load()
	s := segments[segmentIndex(segments, batches[spoilt].BaseOffset())]
	position, _, err := s.locate(batches[spoilt].BaseOffset(), s.size.Load())
	if err != nil {
		t.Fatal(err)
	}
	waitFlushed(t, l)
	after := m.Kill()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	spoil(t, after, s, position+at)
	d = openTestDir(t, after, "data")
	l = openTestLog(t, d, smallSegments())
	if err := d.scrubOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// The epochs of what follows damage are known: without them a follower would not
// notice that it diverges from its leader.
func TestEpochsBehindDamage(t *testing.T) {
	batches := []record.Batch{ofEpoch(t, 0, 3), ofEpoch(t, 1, 3), ofEpoch(t, 2, 4)}
	for spoilt := range 2 {
		l := openDamaged(t, batches, spoilt, 16)
		if got := l.EpochAt(2); got != 4 {
			t.Errorf("behind damage at %d: epoch %d, want 4", spoilt, got)
		}
	}
}

// Where a truncation takes a whole batch that begins before its offset, what is
// appended there is not taken for durable.
func TestTruncateWithinABatchLowersTheRecoveryPoint(t *testing.T) {
	m := durableFolder(t)
	d := openTestDir(t, m, "data")
	l := openTestLog(t, d, testConfig())
	for range 2 {
		mustAppend(t, l, testBatch(t, 10, 100, testTime.UnixMilli()))
	}
	if err := d.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := l.TruncateTo(15); err != nil || l.End() != 10 {
		t.Fatalf("%v, the log ends at %d", err, l.End())
	}
	points, err := readOffsetCheckpoint(m, d.file(recoveryPointFile))
	if err != nil || points[testPartition] != 10 {
		t.Errorf("the recovery point is %d, want 10 (%v)", points[testPartition], err)
	}
}

// A log that lost records which were durable does not take those for durable that
// get their offsets.
func TestRecoveryPointBeyondTheEnd(t *testing.T) {
	m := durableFolder(t)
	d := openTestDir(t, m, "data")
	l := openTestLog(t, d, testConfig())
	for range 10 {
		mustAppend(t, l, testBatch(t, 1, 100, testTime.UnixMilli()))
	}
	if err := d.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	after := m.Kill()
	file, err := after.OpenFile(l.active().records.name)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(300); err != nil {
		t.Fatal(err)
	}
	d = openTestDir(t, after, "data")
	l = openTestLog(t, d, testConfig())
	if l.End() >= 10 {
		t.Fatalf("the log ends at %d", l.End())
	}
	points, err := readOffsetCheckpoint(after, d.file(recoveryPointFile))
	if err != nil || points[testPartition] != l.End() {
		t.Errorf("the recovery point is %d, the log ends at %d (%v)", points[testPartition], l.End(), err)
	}
}

// A scrub that is at work in a segment while a follower takes back its end, and copies
// other records in their place, finds no damage.
func TestTruncationDuringAScrub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openTestDir(t, disk.NewMemory(), "data")
		d.config.ScrubBytesPerSecond = 1 << 20
		l := openTestLog(t, d, testConfig())
		for range 30 {
			mustAppend(t, l, testBatch(t, 1, 100<<10, testTime.UnixMilli()))
		}
		waitFlushed(t, l)
		ctx, stop := context.WithCancel(t.Context())
		scrubbed := make(chan struct{})
		go func() {
			defer close(scrubbed)
			d.scrub(ctx)
		}()
		time.Sleep(500 * time.Millisecond) // it has read the first MiB
		if err := l.TruncateTo(7); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			mustAppend(t, l, testBatch(t, 1, 30<<10, testTime.UnixMilli()))
		}
		time.Sleep(time.Minute)
		stop()
		<-scrubbed
		if n := d.observe.(*observed).damaged; n > 0 {
			t.Errorf("%d damaged stretches in a sound log", n)
		}
		if got := len(readAll(t, l, 0)); got != 67 {
			t.Errorf("%d batches", got)
		}
	})
}
