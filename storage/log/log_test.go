package log

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

var (
	testPartition = protocol.TopicPartition{Topic: "flights", Partition: 0}
	testTopicID   = protocol.TopicID{15: 7}
	testTime      = time.UnixMilli(1_700_000_000_000)
)

// testConfig is a topic's default configuration.
func testConfig() Config {
	return Config{
		SegmentBytes: 1 << 30, SegmentAge: 7 * 24 * time.Hour, SegmentIndexBytes: 10 << 20, IndexIntervalBytes: 4096,
		Delete: true, RetentionMs: -1, RetentionBytes: -1, MaxMessageBytes: 1 << 20, Compression: ProducerCompression,
		TimestampBeforeMaxMs: 1 << 62, TimestampAfterMaxMs: time.Hour.Milliseconds(), FlushOnAck: true,
	}
}

type observed struct {
	mu      sync.Mutex
	damaged int
}

func (o *observed) Flushed(time.Duration) {}

func (o *observed) Damaged(protocol.TopicPartition) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.damaged++
}

func openTestDir(t testing.TB, fsys disk.FS, path string) *Dir {
	t.Helper()
	d, err := OpenDir(path, DirConfig{NodeID: 1, Flushes: 4, ProducerExpiry: time.Hour},
		Deps{FS: fsys, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Observe: &observed{}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func openTestLog(t testing.TB, d *Dir, c Config) *Log {
	t.Helper()
	l, err := d.Open(testPartition, testTopicID, c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// testBatch is a batch of n records of about size bytes each.
func testBatch(t testing.TB, n, size int, timestamp int64) record.Batch {
	t.Helper()
	b := record.NewBuilder()
	for i := range n {
		value := make([]byte, size)
		for j := range value {
			value[j] = byte('a' + (i+j)%26)
		}
		b.Append(timestamp+int64(i), fmt.Appendf(nil, "key-%d", i), value)
	}
	batch, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func mustAppend(t testing.TB, l *Log, b record.Batch) AppendResult {
	t.Helper()
	r, err := l.Append(b, AppendOptions{Now: testTime, LeaderEpoch: 3})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// readAll returns the offsets of the batches from offset on, all verified.
func readAll(t testing.TB, l *Log, offset int64) (bases []int64) {
	t.Helper()
	for offset < l.End() {
		s, err := l.Read(offset, 1<<20, l.End(), true)
		if err != nil {
			t.Fatalf("read at %d: %v", offset, err)
		}
		if s.Len == 0 {
			t.Fatalf("nothing to read at %d, the log ends at %d", offset, l.End())
		}
		raw := make([]byte, s.Len)
		if _, err := s.File.ReadAt(raw, s.Off); err != nil {
			t.Fatal(err)
		}
		s.Close()
		for len(raw) > 0 {
			var b record.Batch
			if b, raw, err = record.Next(raw); err != nil {
				t.Fatal(err)
			}
			if err := b.Verify(); err != nil {
				t.Fatal(err)
			}
			bases = append(bases, b.BaseOffset())
			offset = b.NextOffset()
		}
	}
	return bases
}

func waitFlushed(t testing.TB, l *Log) {
	t.Helper()
	if err := l.flushOnce(); err != nil {
		t.Fatal(err)
	}
	if l.Flushed() != l.End() {
		t.Fatalf("flushed %d of %d", l.Flushed(), l.End())
	}
}

func TestAppendAndRead(t *testing.T) {
	path := t.TempDir()
	d := openTestDir(t, disk.OS, path)
	l := openTestLog(t, d, testConfig())
	for i := range 300 {
		r := mustAppend(t, l, testBatch(t, 3, 100, testTime.UnixMilli()))
		if r.BaseOffset != int64(3*i) || r.LastOffset != int64(3*i+2) || r.LogAppendTime != -1 {
			t.Fatalf("append %d: %+v", i, r)
		}
	}
	for _, from := range []int64{0, 1, 2, 3, 450, 899} {
		got := readAll(t, l, from)
		if got[0] != from/3*3 || len(got) != 300-int(from/3) {
			t.Errorf("from %d: first batch %d of %d", from, got[0], len(got))
		}
	}
	if s, err := l.Read(900, 1000, 900, true); err != nil || s.Len != 0 {
		t.Errorf("at the end: %d bytes, %v", s.Len, err)
	}
	for _, outside := range []int64{-1, 901} {
		if _, err := l.Read(outside, 1000, 900, true); !errors.Is(err, kerr.OffsetOutOfRange) {
			t.Errorf("at %d: %v", outside, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openTestDir(t, disk.OS, path)
	if !d.Clean() {
		t.Error("not closed in order")
	}
	l = openTestLog(t, d, testConfig())
	if l.End() != 900 || len(readAll(t, l, 0)) != 300 {
		t.Errorf("after a restart it ends at %d", l.End())
	}
	findings, err := VerifyDir(disk.OS, path, func(f Finding) { t.Error(f) })
	if err != nil || findings.Records != 900 {
		t.Errorf("%+v, %v", findings, err)
	}
}

func TestReadStopsAtTheLimits(t *testing.T) {
	d := openTestDir(t, disk.OS, t.TempDir())
	l := openTestLog(t, d, testConfig())
	batch := testBatch(t, 10, 100, testTime.UnixMilli())
	size := len(batch)
	for range 100 {
		mustAppend(t, l, append(record.Batch(nil), batch...))
	}
	for _, c := range []struct {
		name          string
		offset, end   int64
		max           int
		atLeastOne    bool
		want, firstAt int
	}{
		{"all", 0, 1000, 1 << 30, true, 100 * size, 0},
		{"by bytes", 0, 1000, 5*size + 1, true, 5 * size, 0},
		{"by bytes exactly", 0, 1000, 5 * size, true, 5 * size, 0},
		{"first batch too large", 0, 1000, size - 1, true, size, 0},
		{"first batch too large, none", 0, 1000, size - 1, false, 0, 0},
		{"by end", 500, 700, 1 << 30, true, 20 * size, 50 * size},
		{"in a batch", 505, 700, 1 << 30, true, 20 * size, 50 * size},
		{"beyond end", 700, 700, 1 << 30, true, 0, 0},
	} {
		s, err := l.Read(c.offset, c.max, c.end, c.atLeastOne)
		if err != nil || s.Len != c.want || c.want > 0 && s.Off != int64(c.firstAt) {
			t.Errorf("%s: %d bytes at %d, %v; want %d at %d", c.name, s.Len, s.Off, err, c.want, c.firstAt)
		}
		s.Close()
	}
}

func TestUncleanStop(t *testing.T) {
	path := t.TempDir()
	c := testConfig()
	c.SegmentBytes = 4000
	d := openTestDir(t, disk.OS, path)
	l := openTestLog(t, d, c)
	for range 20 {
		mustAppend(t, l, testBatch(t, 5, 100, testTime.UnixMilli()))
	}
	if err := d.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		mustAppend(t, l, testBatch(t, 5, 100, testTime.UnixMilli()))
	}
	for l.flushing.Load() {
		time.Sleep(time.Millisecond)
	}
	d.unlock() // what the kernel does when a process is killed
	active := l.active().records.name
	f, err := os.OpenFile(active, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(testBatch(t, 5, 100, 0)[:200])
	f.Close()

	d = openTestDir(t, disk.OS, path)
	if d.Clean() {
		t.Fatal("the stop was not clean")
	}
	l = openTestLog(t, d, c)
	if l.End() != 200 || len(readAll(t, l, 0)) != 40 {
		t.Errorf("the log ends at %d", l.End())
	}
	if _, err := VerifyDir(disk.OS, path, func(f Finding) { t.Error(f) }); err != nil {
		t.Error(err)
	}
	if got := mustAppend(t, l, testBatch(t, 1, 1, 0)); got.BaseOffset != 200 {
		t.Errorf("next offset %d", got.BaseOffset)
	}
}

func TestFlippedBitAboveTheRecoveryPoint(t *testing.T) {
	path := t.TempDir()
	d := openTestDir(t, disk.OS, path)
	l := openTestLog(t, d, testConfig())
	size := 0
	for range 50 {
		b := testBatch(t, 5, 100, testTime.UnixMilli())
		size = len(b)
		mustAppend(t, l, b)
	}
	waitFlushed(t, l)
	d.unlock()
	name := filepath.Join(path, testPartition.String(), segmentName(0)+".log")
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	raw[20*size+300] ^= 4
	os.WriteFile(name, raw, 0o644)

	d = openTestDir(t, disk.OS, path)
	l = openTestLog(t, d, testConfig())
	if l.End() != 250 {
		t.Fatalf("the log ends at %d: a flipped bit took what follows it", l.End())
	}
	if s, err := l.Read(0, 1<<20, 250, true); err != nil || s.Len != 20*size {
		t.Errorf("before the damage: %d bytes, %v", s.Len, err)
	}
	if _, err := l.Read(102, 1<<20, 250, true); !errors.Is(err, kerr.CorruptMessage) {
		t.Errorf("at the damage: %v", err)
	}
	if got := readAll(t, l, 105); len(got) != 29 {
		t.Errorf("after the damage: %d batches", len(got))
	}
}

// TestFlushLater: what is appended to be flushed later is flushed when that is asked
// for, all at once.
func TestFlushLater(t *testing.T) {
	d := openTestDir(t, disk.NewMemory(), "data")
	l := openTestLog(t, d, Config{SegmentBytes: 1 << 20, MaxMessageBytes: 1 << 20, FlushOnAck: true, SegmentIndexBytes: 1 << 20, TimestampBeforeMaxMs: 1 << 40, TimestampAfterMaxMs: 1 << 40})
	committed := make(chan int64, 8)
	l.OnCommitted(func(end int64) { committed <- end })
	for range 5 {
		if _, err := l.Append(testBatch(t, 2, 10, testTime.UnixMilli()-1), AppendOptions{Now: testTime, FlushLater: true}); err != nil {
			t.Fatal(err)
		}
	}
	if l.flushing.Load() || l.Flushed() != 0 {
		t.Errorf("flushed up to %d, or about to be", l.Flushed())
	}
	l.FlushSoon()
	if end := <-committed; end != 10 {
		t.Errorf("committed up to %d first, want 10", end)
	}
}
