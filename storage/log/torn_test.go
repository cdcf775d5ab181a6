package log

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// Batches of some lengths, begun at every place within a sector, of which any one
// sector was not written when the power failed: the log ends before the first
// batch that lacks a byte. It must not take that for damage and keep what follows.
func TestOneSectorIsNotWritten(t *testing.T) {
	const sector = 512
	for _, lengths := range [][]int{{20}, {400, 20}, {700}, {1500, 1, 1}} {
		for shift := range sector {
			batches := lyingAt(t, shift, lengths)
			whole := joined(batches)
			for at := 0; at < len(whole); at += sector {
				torn := bytes.Clone(whole)
				clear(torn[at:min(at+sector, len(torn))])
				want := int64(0)
				for position := 0; want < int64(len(batches)) && bytes.HasPrefix(torn[position:], batches[want]); want++ {
					position += len(batches[want])
				}
				l, damaged := openTorn(t, torn)
				if l.End() != want || damaged > 0 {
					t.Fatalf("first length %d, lengths %v, the sector at %d: the log ends at %d with %d damaged stretches, want %d and none",
						shift, lengths, at, l.End(), damaged, want)
				}
			}
		}
	}
}

// lyingAt returns batches of one record each, the first of about the length first,
// the others of the given lengths in turn.
func lyingAt(t *testing.T, first int, lengths []int) (batches []record.Batch) {
	t.Helper()
	value := bytes.Repeat([]byte{'v'}, 2000)
	for offset, size := int64(0), 0; size < 4000; offset++ {
		length := first
		if offset > 0 {
			length = lengths[offset%int64(len(lengths))]
		}
		b := record.NewBuilder()
		b.BaseOffset, b.LeaderEpoch = offset, 1
		b.Append(testTime.UnixMilli(), nil, value[:length])
		batches = append(batches, mustBuild(t, b))
		size += len(batches[offset])
	}
	return batches
}

// openTorn opens a log whose only segment was never flushed and holds raw.
func openTorn(t *testing.T, raw []byte) (l *Log, damaged int) {
	t.Helper()
	m := disk.NewMemory()
	folder := filepath.Join("data", testPartition.String())
	if err := m.Mkdir(folder); err != nil {
		t.Fatal(err)
	}
	if err := writePartitionMetadata(m, filepath.Join(folder, partitionMetadataFile), testTopicID); err != nil {
		t.Fatal(err)
	}
	if err := disk.WriteFileAtomic(m, filepath.Join(folder, segmentName(0)+".log"), raw); err != nil {
		t.Fatal(err)
	}
	d := openTestDir(t, m, "data")
	return openTestLog(t, d, testConfig()), d.observe.(*observed).damaged
}
