package log

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// Whatever was acknowledged is there after the power fails, time and again, with
// segments that end, checkpoints in between, and recoveries that are themselves
// cut short. Some of the stops are of the process alone: what it had not flushed is
// there then, and may be gone after the next.
func TestAcknowledgedBatchesSurvivePowerCuts(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := disk.NewMemory()
		if err := m.Mkdir("data"); err != nil {
			t.Fatal(err)
		}
		if err := m.SyncDir("."); err != nil {
			t.Fatal(err)
		}
		var acked []record.Batch
		for round := range 5 {
			d := openTestDir(t, m, "data")
			c := testConfig()
			c.SegmentBytes = 8000
			l := openTestLog(t, d, c)
			for _, b := range acked {
				if got := readBatchAt(t, l, b.BaseOffset()); !bytes.Equal(got, b) {
					t.Fatalf("seed %d, round %d: the batch at %d is lost; the log ends at %d", seed, round, b.BaseOffset(), l.End())
				}
			}
			wantLargestTimes(t, l, fmt.Sprintf("seed %d, round %d", seed, round))
			written := appendAtRandom(t, rng, d, l)
			flushed := l.Flushed()
			after := stop(rng, m)
			for _, b := range written {
				if b.NextOffset() <= flushed {
					acked = append(acked, b)
				}
			}
			if err := d.Close(); err != nil { // of the broker that had the power cut
				t.Fatal(err)
			}
			m = after
		}
	}
}

// appendAtRandom appends some batches, and checkpoints now and then.
func appendAtRandom(t *testing.T, rng *rand.Rand, d *Dir, l *Log) (written []record.Batch) {
	t.Helper()
	for range rng.IntN(20) {
		b := testBatch(t, 1+rng.IntN(5), 1+rng.IntN(1500), testTime.UnixMilli()+l.End())
		mustAppend(t, l, b)
		written = append(written, b)
		if rng.IntN(8) == 0 {
			if err := d.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rng.IntN(2) == 0 { // let the flush that is under way come to its end, or not
		for until := time.Now().Add(time.Second); l.Flushed() < l.End() && time.Now().Before(until); {
			time.Sleep(10 * time.Microsecond)
		}
	}
	return written
}

// readBatchAt returns the batch that begins at offset, none where it is gone.
func readBatchAt(t *testing.T, l *Log, offset int64) record.Batch {
	t.Helper()
	s, err := l.Read(offset, 1, l.End(), true)
	if err != nil || s.Len == 0 {
		return nil
	}
	defer s.Close()
	raw := make([]byte, s.Len)
	if _, err := s.File.ReadAt(raw, s.Off); err != nil {
		t.Fatal(err)
	}
	return raw
}

// wantLargestTimes holds that retention by time sees the newest record of each
// segment.
func wantLargestTimes(t *testing.T, l *Log, when string) {
	t.Helper()
	for _, s := range *l.segments.Load() {
		largest := int64(-1)
		err := s.headers(0, s.size.Load(), func(header record.Batch, _ int64) error {
			largest = max(largest, header.MaxTimestamp())
			return nil
		})
		if got := s.times.largest().timestamp; err != nil || got != largest {
			t.Fatalf("%s: the newest record of the segment at %d is of %d, its index says %d (%v)", when, s.base, largest, got, err)
		}
	}
}

// stop cuts the power, or only kills the process.
func stop(rng *rand.Rand, m *disk.Memory) *disk.Memory {
	if rng.IntN(3) == 0 {
		return m.Kill()
	}
	return m.Crash(rng)
}

// A write that failed half-way is cut off for good: it does not show in the place of
// what was written after it, where a power cut took that.
func TestHalfAWriteDoesNotShowAgain(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 5))
		m := durableFolder(t)
		faulty := disk.NewFaulty(m)
		d := openTestDir(t, faulty, "data")
		c := testConfig()
		c.FlushOnAck = false // but when the test says so
		l := openTestLog(t, d, c)
		for range 3 {
			mustAppend(t, l, testBatch(t, 1, rng.IntN(1000), testTime.UnixMilli()))
		}
		waitFlushed(t, l)
		flushed := l.Flushed()
		faulty.FailWrite(1)
		if _, err := l.Append(testBatch(t, 5, 1000, testTime.UnixMilli()), AppendOptions{Now: testTime, LeaderEpoch: 3}); err == nil {
			t.Fatal("no error")
		}
		for range 5 {
			mustAppend(t, l, testBatch(t, 1, rng.IntN(1000), testTime.UnixMilli()))
		}
		after := m.Crash(rng)
		d = openTestDir(t, after, "data")
		l = openTestLog(t, d, c)
		if n := d.observe.(*observed).damaged; n > 0 || l.End() < flushed {
			t.Fatalf("seed %d: %d damaged stretches, the log ends at %d, flushed were %d", seed, n, l.End(), flushed)
		}
	}
}
