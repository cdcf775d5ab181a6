package log

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/klamm-io/klamm/storage/disk"
)

// durableFolder is a disk with a folder that a power cut leaves.
func durableFolder(t testing.TB) *disk.Memory {
	t.Helper()
	m := disk.NewMemory()
	if err := m.Mkdir("data"); err != nil {
		t.Fatal(err)
	}
	if err := m.SyncDir("."); err != nil {
		t.Fatal(err)
	}
	return m
}

// sealedWhole is where the last segment ends that can be compacted whole.
func sealedWhole(l *Log) (end int64) {
	for _, s := range *l.segments.Load() {
		if s.base <= l.LastStable(l.End()) {
			end = s.base
		}
	}
	return end
}

// Whatever is written (tombstones, transactions of either end, producers with
// sequence numbers, any codec), whenever it is compacted, with however little
// memory, and whenever the broker stops and starts: the newest record of each key
// is there at its offset, and what is replaced goes.
func TestCompactionKeepsTheNewestOfEachKey(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		m := durableFolder(t)
		d := openTestDir(t, m, "data")
		l := openTestLog(t, d, compactConfig())
		w := newWriter(t, rng, l)
		for round := range 6 {
			for range rng.IntN(60) {
				w.step()
			}
			if rng.IntN(3) == 0 {
				w.endAll()
			}
			commit(t, l)
			dedupe := []int64{1 << 20, 1}[rng.IntN(2)] // 1 has room for a few keys
			end := l.End()
			compactAll(t, testCleaner(d, dedupe), w.now)
			if sealedWhole(l) > max(0, d.compactedTo(l)) {
				t.Fatalf("seed %d, round %d: compacted to %d, %d is possible", seed, round, d.compactedTo(l), sealedWhole(l))
			}
			if err := wantCompacted(l, w.all, d.compactedTo(l)); err != nil {
				t.Fatalf("seed %d, round %d: %v", seed, round, err)
			}
			if l.End() != end {
				t.Fatalf("seed %d, round %d: the log ends at %d, before at %d", seed, round, l.End(), end)
			}
			w.now = w.now.Add(time.Duration(rng.IntN(3)) * time.Hour)
			if rng.IntN(2) == 0 {
				if rng.IntN(2) == 0 {
					if err := d.Close(); err != nil {
						t.Fatal(err)
					}
				} else {
					m = m.Crash(rng)
				}
				d = openTestDir(t, m, "data")
				l = openTestLog(t, d, compactConfig())
				w.log = l
				if l.End() != end {
					t.Fatalf("seed %d, round %d: after a restart the log ends at %d, before at %d", seed, round, l.End(), end)
				}
			}
		}
	}
}
