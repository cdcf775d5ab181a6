package log

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

var rotSeeds = flag.Int("log.rot.seeds", 40, "how many damages of each kind of file are tried")

// rottable are the kinds of files that a replica consists of, by how their names end.
var rottable = []string{
	".log", ".index", ".timeindex", ".txnindex", ".snapshot", leaderEpochFile, partitionMetadataFile, recoveryPointFile, logStartFile,
}

// TestRotOfEveryFile: a bit that turns over, or an end that is lost, in any file of a
// replica while its process is down: after the start and the scrub nothing is read that
// was not written, no record is hidden, and what is known to be damaged or is missing is
// all that a leader has to send again. Then the replica is as one that was never damaged.
func TestRotOfEveryFile(t *testing.T) {
	for _, kind := range rottable {
		t.Run(strings.TrimPrefix(kind, "."), func(t *testing.T) {
			for seed := range uint64(*rotSeeds) {
				if !rotOnce(t, kind, seed) {
					return
				}
			}
		})
	}
}

func rotOnce(t *testing.T, kind string, seed uint64) bool {
	rng := rand.New(rand.NewPCG(seed, 7))
	h := newHistory(t)
	h.dense = true // what compaction leaves may begin at any offset that is free
	for range 60 {
		h.grow(rng.IntN)
	}
	start := h.batches[rng.IntN(20)].BaseOffset()
	m, clean := writtenHistory(t, h, start, rng)
	what := rotFile(t, m, kind, rng)
	when := fmt.Sprintf("seed %d, closed in order %v, begins at %d, ends at %d: %s", seed, clean, start, h.end(), what)
	d := openTestDir(t, m, "data")
	l := openTestLog(t, d, smallSegments())
	if l.Start() > start && l.End() > l.Start() {
		t.Errorf("%s: the records from %d to %d are hidden", when, start, l.Start())
		return false
	}
	if err := d.scrubOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, want := asFollower(t, l, h, start), startingAt(t, h.batches, start)
	if got.anew {
		// Producers that only wrote before the start are forgotten, and so is what lay there of
		// transactions.
		got.Producers, want.Producers, got.Stable, want.Stable = "", "", 0, 0
	}
	if got, want := fmt.Sprintf("%+v", got.told), fmt.Sprintf("%+v", want); got != want {
		t.Errorf("%s:\n got %q\nwant %q", when, got, want)
		return false
	}
	return d.Close() == nil
}

// writtenHistory is a disk that holds a history from an offset on, and whether its
// process stopped in order.
func writtenHistory(t *testing.T, h *history, start int64, rng *rand.Rand) (m *disk.Memory, clean bool) {
	m = durableFolder(t)
	d := openTestDir(t, m, "data")
	l := openTestLog(t, d, smallSegments())
	for _, b := range h.batches {
		mustReplicate(t, l, []record.Batch{b})
		if rng.IntN(10) == 0 {
			waitFlushed(t, l)
			if err := d.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.AdvanceStart(start); err != nil {
		t.Fatal(err)
	}
	waitFlushed(t, l)
	if err := d.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if clean = rng.IntN(2) == 0; !clean {
		defer d.Close()
		return m.Kill(), false
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return m, true
}

// rotFile damages one file of a kind, and says how.
func rotFile(t *testing.T, m *disk.Memory, kind string, rng *rand.Rand) string {
	var names []string
	for _, folder := range []string{"data", filepath.Join("data", testPartition.String())} {
		entries, err := m.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), kind) && info.Size() > 0 {
				names = append(names, filepath.Join(folder, e.Name()))
			}
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	name := names[rng.IntN(len(names))]
	file, err := m.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		t.Fatal(err)
	}
	at := rng.Int64N(size)
	if rng.IntN(3) == 0 {
		if err := file.Truncate(at); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s is cut from %d to %d bytes", name, size, at)
	}
	b := make([]byte, 1)
	if _, err := file.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << rng.IntN(8)
	if _, err := file.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s has another bit at %d of %d", name, at, size)
}

// asFollower lets a log take back what is damaged and copy what it lacks, as a follower
// of a leader with that history does, and tells what it holds then.
func asFollower(t *testing.T, l *Log, h *history, start int64) (all copied) {
	if from, damaged, err := l.DamagedFrom(); err != nil {
		t.Fatal(err)
	} else if damaged {
		if from < l.Start() {
			from = l.Start()
		}
		if err := l.TruncateTo(from); err != nil {
			t.Fatal(err)
		}
	}
	if l.End() < start {
		if err := l.StartAt(h.batches[h.batchOf(start)].BaseOffset()); err != nil {
			t.Fatal(err)
		}
	}
	all.anew = l.End() <= start
	mustReplicate(t, l, h.batches[h.batchOf(l.End()):])
	if err := l.AdvanceStart(start); err != nil {
		t.Fatal(err)
	}
	all.told = tellFrom(t, l, h.batches, start)
	return all
}

// copied is what a log holds that has copied what it lacked, maybe all of it.
type copied struct {
	told
	anew bool
}

// tellFrom tells what a log holds from an offset on. Of a transaction that began before,
// it says where its first record is that is left; where none is, it says nothing.
func tellFrom(t *testing.T, l *Log, batches []record.Batch, start int64) told {
	all := tell(t, l)
	all.Aborted = nil
	for _, s := range *l.segments.Load() {
		entries, err := s.txns.all()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			left := slices.IndexFunc(batches, func(b record.Batch) bool {
				return b.BaseOffset() >= max(start, e.FirstOffset) && b.ProducerID() == e.ProducerID && b.BaseOffset() < e.lastOffset
			})
			if left >= 0 {
				all.Aborted = append(all.Aborted, AbortedTxn{e.ProducerID, batches[left].BaseOffset()})
			}
		}
	}
	return all
}

// startingAt tells what a log holds that was never damaged.
func startingAt(t *testing.T, batches []record.Batch, start int64) told {
	d := openTestDir(t, disk.NewMemory(), "data")
	defer d.Close()
	l := openTestLog(t, d, smallSegments())
	mustReplicate(t, l, batches)
	if err := l.AdvanceStart(start); err != nil {
		t.Fatal(err)
	}
	return tellFrom(t, l, batches, start)
}

// An index that names other offsets than those of the batches that it leads to hides no
// record, even before the scrub has looked at it.
func TestIndexThatLeadsAstray(t *testing.T) {
	h := newHistory(t)
	h.dense = true
	rng := rand.New(rand.NewPCG(1, 8))
	for range 40 {
		h.grow(rng.IntN)
	}
	whole, _ := writtenHistory(t, h, 0, rand.New(rand.NewPCG(2, 8)))
	for _, s := range indexesOf(t, whole) {
		raw, err := whole.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(raw) {
			if bit/8%offsetEntryWidth != offsetEntryWidth/2-1 { // the lowest byte of each offset
				continue
			}
			m := whole.Kill()
			changed := slices.Clone(raw)
			changed[bit/8] ^= 1 << (bit % 8)
			if err := disk.WriteFileAtomic(m, s, changed); err != nil {
				t.Fatal(err)
			}
			d := openTestDir(t, m, "data")
			l := openTestLog(t, d, smallSegments())
			for _, b := range h.batches {
				if got := readBatchAt(t, l, b.BaseOffset()); got == nil || got.BaseOffset() != b.BaseOffset() {
					t.Fatalf("%s with bit %d turned over hides offset %d", s, bit, b.BaseOffset())
				}
			}
		}
	}
}

// indexesOf are the offset indexes of the log on a disk.
func indexesOf(t *testing.T, m *disk.Memory) (names []string) {
	t.Helper()
	folder := filepath.Join("data", testPartition.String())
	entries, err := m.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".index") {
			names = append(names, filepath.Join(folder, e.Name()))
		}
	}
	return names
}
