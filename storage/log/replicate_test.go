package log

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// history makes what a partition's leaders append one after the other, as their
// followers get it: batches with offsets, epochs, producers and transactions.
type history struct {
	t        testing.TB
	batches  []record.Batch
	epoch    int32
	sequence map[int64]int32
	open     map[int64]bool
	time     map[int64]int64 // of a producer's last batch
	dense    bool            // no offset is missing
}

func newHistory(t testing.TB) *history {
	return &history{t: t, sequence: map[int64]int32{}, open: map[int64]bool{}, time: map[int64]int64{}}
}

func (h *history) end() int64 {
	if len(h.batches) == 0 {
		return 0
	}
	return h.batches[len(h.batches)-1].NextOffset()
}

// grow appends one batch, which chance chooses.
func (h *history) grow(pick func(n int) int) {
	producer := int64(pick(3))
	b := record.NewBuilder()
	b.BaseOffset = h.end()
	if !h.dense {
		b.BaseOffset += int64(pick(2) * pick(3)) // compaction leaves gaps
	}
	if pick(6) == 0 {
		h.epoch++
	}
	b.LeaderEpoch = h.epoch
	switch kind := pick(5); {
	case kind == 0 && h.open[producer]:
		marker := []int16{record.ControlAbort, record.ControlCommit}[pick(2)]
		b.ProducerID, b.ProducerEpoch, b.Transactional, b.Control = producer, 0, true, true
		// A snapshot keeps one time for a producer and its last batch: let it be both.
		b.Append(h.time[producer], record.AppendControlKey(nil, marker), record.AppendEndTxnValue(nil, 0))
		h.open[producer] = false
	case kind <= 2 || h.open[producer]:
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = producer, 0, h.sequence[producer]
		b.Transactional = h.open[producer] || kind == 2
		h.open[producer] = b.Transactional
		h.fill(b, 1+pick(3), pick(400))
		h.sequence[producer] += int32(b.Count())
		h.time[producer] = testTime.UnixMilli() + b.BaseOffset + int64(b.Count()) - 1
	default:
		h.fill(b, 1+pick(5), pick(1200))
	}
	h.batches = append(h.batches, mustBuild(h.t, b))
}

func (h *history) fill(b *record.Builder, n, size int) {
	for i := range n {
		b.Append(testTime.UnixMilli()+b.BaseOffset+int64(i), nil, bytes.Repeat([]byte{'v'}, size))
	}
}

// until returns the history up to one of its batches: what a leader has that did
// not get the rest.
func (h *history) until(n int) *history {
	past := newHistory(h.t)
	for _, b := range h.batches[:n] {
		past.batches = append(past.batches, b)
		past.epoch = b.PartitionLeaderEpoch()
		if b.ProducerID() >= 0 {
			past.open[b.ProducerID()] = b.Attributes().Transactional() && !b.Attributes().Control()
			if !b.Attributes().Control() {
				past.sequence[b.ProducerID()] = record.AddSequence(b.LastSequence(), 1)
				past.time[b.ProducerID()] = b.MaxTimestamp()
			}
		}
	}
	past.epoch++
	return past
}

// joined returns some batches one after the other.
func joined(batches []record.Batch) (all []byte) {
	for _, b := range batches {
		all = append(all, b...)
	}
	return all
}

func mustReplicate(t testing.TB, l *Log, batches []record.Batch) {
	t.Helper()
	if len(batches) == 0 {
		return
	}
	r, err := l.AppendReplicated(joined(batches), testTime)
	if err != nil || r.BaseOffset != batches[0].BaseOffset() || r.LastOffset != batches[len(batches)-1].LastOffset() {
		t.Fatalf("replicate %d to %d: %+v, %v", batches[0].BaseOffset(), batches[len(batches)-1].LastOffset(), r, err)
	}
}

// told is all that a log tells of what it holds.
type told struct {
	End, Stable int64
	Bases       []int64
	Epochs      []epochStart
	Producers   string
	Aborted     []AbortedTxn
	Times       []string
	Sum         uint32 // of all bytes
}

func tell(t testing.TB, l *Log) (all told) {
	t.Helper()
	all.End, all.Stable = l.End(), l.LastStable(l.End())
	for at := l.Start(); at < l.End(); {
		b := readBatchAt(t.(*testing.T), l, at)
		if b == nil {
			break
		}
		all.Bases = append(all.Bases, b.BaseOffset())
		all.Sum = crc32.Update(all.Sum, crc32.IEEETable, b)
		at = b.NextOffset()
	}
	all.Epochs = slices.Clone(l.epochs.starts)
	all.Producers = string(l.producers.encode())
	var err error
	if all.Aborted, err = l.AbortedTransactions(l.Start(), l.End()); err != nil {
		t.Fatal(err)
	}
	for ms := testTime.UnixMilli() - 1; ms < testTime.UnixMilli()+l.End()+2; ms += 3 {
		found, ok, err := l.OffsetForTimestamp(ms, l.End())
		all.Times = append(all.Times, fmt.Sprint(found, ok, err))
	}
	return all
}

// freshly tells what a log says that got the batches one by one and nothing else.
func freshly(t testing.TB, batches []record.Batch) told {
	d := openTestDir(t, disk.NewMemory(), "data")
	l := openTestLog(t, d, smallSegments())
	for _, b := range batches {
		mustReplicate(t, l, []record.Batch{b})
	}
	all := tell(t, l)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

func smallSegments() Config {
	c := testConfig()
	c.SegmentBytes, c.IndexIntervalBytes = 6000, 500
	return c
}

// A follower that takes back what its leader does not have, and goes on with what
// it has, is as one that never had anything else; before and after restarts.
func TestTruncatedLogIsAsOneThatNeverHadMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") }
		m := disk.NewMemory()
		d := openTestDir(t, m, "data")
		l := openTestLog(t, d, smallSegments())
		h, have := newHistory(t), 0
		for range 1 + pick(6) {
			for range pick(30) {
				h.grow(pick)
			}
			mustReplicate(t, l, h.batches[have:])
			have = pick(len(h.batches) + 1)
			h = h.until(have)
			if err := l.TruncateTo(h.end()); err != nil {
				rt.Fatal(err)
			}
			want := freshly(t, h.batches)
			wantTold(rt, "truncated", tell(t, l), want)
			switch pick(4) {
			case 0:
				if err := d.Checkpoint(); err != nil {
					rt.Fatal(err)
				}
			case 1:
				if err := d.Close(); err != nil {
					rt.Fatal(err)
				}
				d = openTestDir(t, m, "data")
				l = openTestLog(t, d, smallSegments())
				wantTold(rt, "reopened", tell(t, l), want)
			}
		}
		if err := d.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func wantTold(t *rapid.T, when string, got, want told) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Fatalf("%s:\n got %q\nwant %q", when, g, w)
	}
}

// What was flushed after a truncation is there after the power fails, and nothing
// of what was taken back stands among it.
func TestReplicatedBatchesSurvivePowerCuts(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := disk.NewMemory()
		if err := errors.Join(m.Mkdir("data"), m.SyncDir(".")); err != nil {
			t.Fatal(err)
		}
		h := newHistory(t)
		for round := range 6 {
			d := openTestDir(t, m, "data")
			l := openTestLog(t, d, smallSegments())
			flushed := l.End()
			have := slices.IndexFunc(h.batches, func(b record.Batch) bool { return b.BaseOffset() >= flushed })
			if have >= 0 {
				h = h.until(have)
			}
			for _, b := range h.batches {
				if got := readBatchAt(t, l, b.BaseOffset()); !bytes.Equal(got, b) {
					t.Fatalf("seed %d, round %d: another batch at %d; the log ends at %d", seed, round, b.BaseOffset(), l.End())
				}
			}
			have = len(h.batches)
			for range 1 + rng.IntN(3) {
				for range rng.IntN(12) {
					h.grow(rng.IntN)
				}
				mustReplicate(t, l, h.batches[have:])
				if rng.IntN(3) == 0 {
					if err := d.Checkpoint(); err != nil {
						t.Fatal(err)
					}
				}
				h = h.until(max(0, len(h.batches)-rng.IntN(15)))
				if err := l.TruncateTo(h.end()); err != nil {
					t.Fatal(err)
				}
				have = len(h.batches)
			}
			for range rng.IntN(8) {
				h.grow(rng.IntN)
			}
			mustReplicate(t, l, h.batches[have:])
			if rng.IntN(2) == 0 {
				waitFlushed(t, l)
			}
			flushed = l.Flushed()
			after := stop(rng, m)
			if err := d.Close(); err != nil { // of the broker that was stopped
				t.Fatal(err)
			}
			m = after
			wantFlushed(t, m, h, flushed, fmt.Sprintf("seed %d, round %d", seed, round))
		}
	}
}

// wantFlushed opens what a power cut left, as the next round does.
func wantFlushed(t *testing.T, m *disk.Memory, h *history, flushed int64, when string) {
	t.Helper()
	d := openTestDir(t, m, "data")
	defer d.unlock()
	l := openTestLog(t, d, smallSegments())
	for _, b := range h.batches {
		if b.NextOffset() <= flushed && !bytes.Equal(readBatchAt(t, l, b.BaseOffset()), b) {
			t.Fatalf("%s: the batch at %d is lost; flushed up to %d, the log ends at %d", when, b.BaseOffset(), flushed, l.End())
		}
	}
}

func TestReplicateRefuses(t *testing.T) {
	h := newHistory(t)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 10 {
		h.grow(rng.IntN)
	}
	d := openTestDir(t, disk.NewMemory(), "data")
	l := openTestLog(t, d, testConfig())
	mustReplicate(t, l, h.batches[:5])
	end := l.End()
	broken := slices.Clone(h.batches[5])
	broken[len(broken)-1] ^= 1
	for name, c := range map[string]struct {
		records []byte
		want    error
	}{
		"one again":      {h.batches[4], kerr.OffsetOutOfRange},
		"a wrong CRC":    {broken, kerr.CorruptMessage},
		"half a batch":   {h.batches[5][:70], kerr.CorruptMessage},
		"a second again": {joined([]record.Batch{h.batches[5], h.batches[5]}), kerr.OffsetOutOfRange},
	} {
		if _, err := l.AppendReplicated(c.records, testTime); !errors.Is(err, c.want) || l.End() != end {
			t.Errorf("%s: %v, the log ends at %d, want %v and %d", name, err, l.End(), c.want, end)
		}
	}
	mustReplicate(t, l, h.batches[5:])
}

func TestTruncateBelowTheStart(t *testing.T) {
	d := openTestDir(t, disk.NewMemory(), "data")
	l := openTestLog(t, d, testConfig())
	for range 5 {
		mustAppend(t, l, testBatch(t, 2, 10, testTime.UnixMilli()))
	}
	if err := l.AdvanceStart(4); err != nil {
		t.Fatal(err)
	}
	if err := l.TruncateTo(3); !errors.Is(err, kerr.OffsetOutOfRange) || l.End() != 10 {
		t.Errorf("%v, the log ends at %d", err, l.End())
	}
	if err := l.TruncateTo(7); err != nil || l.End() != 6 {
		t.Errorf("within a batch: %v, the log ends at %d, want 6", err, l.End())
	}
}

func TestStartAnew(t *testing.T) {
	m := disk.NewMemory()
	d := openTestDir(t, m, "data")
	l := openTestLog(t, d, smallSegments())
	h := newHistory(t)
	rng := rand.New(rand.NewPCG(3, 3))
	for range 60 {
		h.grow(rng.IntN)
	}
	mustReplicate(t, l, h.batches)
	if err := d.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := l.StartAt(1000); err != nil {
		t.Fatal(err)
	}
	if l.Start() != 1000 || l.End() != 1000 || l.Segments() != 1 || len(l.producers.byID) != 0 || l.LastStable(5000) != 5000 {
		t.Errorf("%d to %d in %d segments, %d producers", l.Start(), l.End(), l.Segments(), len(l.producers.byID))
	}
	b := record.NewBuilder()
	b.BaseOffset, b.LeaderEpoch = 1000, 9
	b.Append(testTime.UnixMilli(), nil, []byte("v"))
	mustReplicate(t, l, []record.Batch{mustBuild(t, b)})
	waitFlushed(t, l)
	crashed := m.Crash(rng)
	d.Close()
	d = openTestDir(t, crashed, "data")
	l = openTestLog(t, d, smallSegments())
	if l.Start() != 1000 || l.End() != 1001 || len(readAll(t, l, 1000)) != 1 || l.epochs.latest() != 9 {
		t.Errorf("after a power cut: %d to %d, epoch %d", l.Start(), l.End(), l.epochs.latest())
	}
}

// A log that is truncated to where it has no batch, because those before were
// compacted away at its leader, ends there after a restart too.
func TestTruncatedIntoAGapEndsThereAfterARestart(t *testing.T) {
	m := durableFolder(t)
	d := openTestDir(t, m, "data")
	l := openTestLog(t, d, testConfig())
	mustReplicate(t, l, []record.Batch{ofEpoch(t, 0, 1), ofEpoch(t, 10, 1), ofEpoch(t, 20, 2)})
	if err := d.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if err := l.TruncateTo(15); err != nil || l.End() != 15 {
		t.Fatalf("%v, the log ends at %d", err, l.End())
	}
	for seed := range uint64(20) {
		l := openTestLog(t, openTestDir(t, m.Crash(rand.New(rand.NewPCG(seed, 7))), "data"), testConfig())
		if l.End() != 15 || l.EpochAt(14) != 1 {
			t.Fatalf("seed %d: after a power cut it ends at %d in epoch %d", seed, l.End(), l.EpochAt(14))
		}
		mustReplicate(t, l, []record.Batch{ofEpoch(t, 15, 3)})
		if got := readAll(t, l, 0); len(got) != 3 {
			t.Fatalf("seed %d: batches at %v", seed, got)
		}
	}
}

// A new log that begins where its leader does, and holds nothing yet, begins there
// after a power cut too.
func TestStartAnewIsDurableBeforeTheFirstFlush(t *testing.T) {
	m := durableFolder(t)
	l := openTestLog(t, openTestDir(t, m, "data"), testConfig())
	if err := l.StartAt(100); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(30) {
		after := openTestLog(t, openTestDir(t, m.Crash(rand.New(rand.NewPCG(seed, 8))), "data"), testConfig())
		if after.Start() != 100 || after.End() != 100 {
			t.Fatalf("seed %d: it goes from %d to %d", seed, after.Start(), after.End())
		}
	}
}
