package replicas

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// Replica is one node's log of a partition.
type Replica struct {
	Name    string
	batches []record.Batch // ascending, those below the end that Read was given
}

// Read reads the log of a partition from a node's folder, up to the batch before
// the offset end.
func Read(name, folder string, tp protocol.TopicPartition, end int64) (Replica, error) {
	r := Replica{Name: name}
	if _, err := os.Stat(filepath.Join(folder, tp.String())); err != nil {
		return r, fmt.Errorf("read the log of %s: %w", tp, err)
	}
	segments, err := filepath.Glob(filepath.Join(folder, tp.String(), "*.log")) // none where nothing was ever written
	if err != nil {
		return r, fmt.Errorf("read the log of %s in %s: %w", tp, folder, err)
	}
	slices.Sort(segments)
	for _, path := range segments {
		err := log.DumpSegment(disk.OS, path, func(b record.Batch, _ int64) error {
			if b.BaseOffset() < end {
				r.batches = append(r.batches, bytes.Clone(b))
			}
			return nil
		})
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// Bytes is the size of what was read.
func (r Replica) Bytes() (n int64) {
	for _, b := range r.batches {
		n += int64(len(b))
	}
	return n
}

// Same returns how replicas differ from the first one; nothing where each of them
// holds the same batches, from the first offset that all hold up to end.
// Retention deletes from the front, and on each node in its own time.
func Same(replicas []Replica, end int64) (differences []string) {
	var from int64
	for _, r := range replicas {
		first := end
		if len(r.batches) > 0 {
			first = r.batches[0].BaseOffset()
		}
		from = max(from, first)
	}
	for _, r := range replicas {
		if got := r.end(from); got < end {
			differences = append(differences, fmt.Sprintf("%s ends at offset %d, it should hold all below %d", r.Name, got, end))
		}
	}
	for _, r := range replicas[1:] {
		if d := differ(replicas[0], r, from); d != "" {
			differences = append(differences, d)
		}
	}
	return differences
}

// end is the offset after the last record, from where the log is empty.
func (r Replica) end(from int64) int64 {
	if len(r.batches) == 0 {
		return from
	}
	return r.batches[len(r.batches)-1].NextOffset()
}

func (r Replica) from(offset int64) []record.Batch {
	return r.batches[slices.IndexFunc(append(r.batches, nil), func(b record.Batch) bool { return b == nil || b.BaseOffset() >= offset }):]
}

// differ describes the first difference of two replicas from an offset on; "" where
// there is none.
func differ(a, b Replica, from int64) string {
	left, right := a.from(from), b.from(from)
	for i := range max(len(left), len(right)) {
		switch {
		case i >= len(left):
			return fmt.Sprintf("%s ends, %s goes on with %s", a.Name, b.Name, describe(right[i]))
		case i >= len(right):
			return fmt.Sprintf("%s goes on with %s, %s ends", a.Name, describe(left[i]), b.Name)
		case !bytes.Equal(left[i], right[i]):
			return fmt.Sprintf("%s has %s, %s has %s", a.Name, describe(left[i]), b.Name, describe(right[i]))
		}
	}
	return ""
}

func describe(b record.Batch) string {
	return fmt.Sprintf("a batch of offsets %d to %d, epoch %d, producer %d epoch %d sequence %d, CRC %08x, %d bytes",
		b.BaseOffset(), b.LastOffset(), b.PartitionLeaderEpoch(), b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.CRC(), len(b))
}
