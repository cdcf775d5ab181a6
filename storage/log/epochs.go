package log

import (
	"fmt"
	"sort"

	"github.com/klamm-io/klamm/storage/disk"
)

// leaderEpochFile holds a log's leader epochs in Kafka's checkpoint format.
const leaderEpochFile = "leader-epoch-checkpoint"

// epochs says in which leader epoch each offset was appended (KIP-101): where
// each epoch begins. Its owner guards it.
type epochs struct {
	starts []epochStart // both numbers ascend strictly
}

type epochStart struct {
	epoch int32
	start int64
}

// assign notes that epoch begins at start, and reports whether that is news. An
// epoch that is known, or older than the latest, changes nothing: the records
// that it had were appended before.
func (e *epochs) assign(epoch int32, start int64) bool {
	if epoch < 0 || epoch <= e.latest() {
		return false
	}
	for n := len(e.starts); n > 0 && e.starts[n-1].start >= start; n-- {
		e.starts = e.starts[:n-1] // an epoch without a record
	}
	e.starts = append(e.starts, epochStart{epoch: epoch, start: start})
	return true
}

// latest is the epoch of the last record, -1 where there is none.
func (e *epochs) latest() int32 {
	if len(e.starts) == 0 {
		return -1
	}
	return e.starts[len(e.starts)-1].epoch
}

// endOffsetFor returns the largest epoch that is at most the given one, and the
// offset at which the next begins: end where there is no next. Where all epochs
// are larger, the given one ended before the first began.
func (e *epochs) endOffsetFor(epoch int32, end int64) (found int32, offset int64) {
	switch {
	case epoch < 0 || epoch > e.latest():
		return -1, -1
	case epoch == e.latest():
		return epoch, end
	}
	next := sort.Search(len(e.starts), func(i int) bool { return e.starts[i].epoch > epoch })
	if next == 0 {
		return epoch, e.starts[0].start
	}
	return e.starts[next-1].epoch, e.starts[next].start
}

// epochAt returns the epoch of the record at offset, -1 where it is not known.
func (e *epochs) epochAt(offset int64) int32 {
	next := sort.Search(len(e.starts), func(i int) bool { return e.starts[i].start > offset })
	if next == 0 {
		return -1
	}
	return e.starts[next-1].epoch
}

// truncateFrom forgets the epochs that begin at end or later, and reports
// whether there were any.
func (e *epochs) truncateFrom(end int64) bool {
	keep := sort.Search(len(e.starts), func(i int) bool { return e.starts[i].start >= end })
	changed := keep < len(e.starts)
	e.starts = e.starts[:keep]
	return changed
}

// truncateTo lets the epoch of the record at start begin there and forgets
// those before it. It reports whether that changed anything.
func (e *epochs) truncateTo(start int64) bool {
	next := sort.Search(len(e.starts), func(i int) bool { return e.starts[i].start > start })
	if next == 0 || e.starts[next-1].start == start && next == 1 {
		return false
	}
	e.starts = append([]epochStart(nil), e.starts[next-1:]...)
	e.starts[0].start = start
	return true
}

func readEpochs(fsys disk.FS, path string) (*epochs, error) {
	lines, err := readCheckpointLines(fsys, path)
	if err != nil {
		return nil, err
	}
	e := &epochs{}
	for i, line := range lines {
		var s epochStart
		if _, err := fmt.Sscanf(line, "%d %d", &s.epoch, &s.start); err != nil {
			return nil, fmt.Errorf("%s, entry %d: %q should be an epoch and its first offset: %w", path, i+1, line, err)
		}
		if i > 0 && (s.epoch <= e.starts[i-1].epoch || s.start <= e.starts[i-1].start) {
			return nil, fmt.Errorf("%s, entry %d: %q does not follow the entry before it", path, i+1, line)
		}
		e.starts = append(e.starts, s)
	}
	return e, nil
}

func (e *epochs) write(fsys disk.FS, path string) error {
	lines := make([]string, len(e.starts))
	for i, s := range e.starts {
		lines[i] = fmt.Sprintf("%d %d", s.epoch, s.start)
	}
	return writeCheckpointLines(fsys, path, lines)
}
