package log

import (
	"fmt"
	"sort"
	"strings"

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

// assign notes that epoch begins at start, and reports whether that is news. The
// latest epoch may turn out to begin earlier than was known; an older one
// changes nothing: the records that it had were appended before. Entries that
// the new one contradicts, because they begin at start or later, had no record.
func (e *epochs) assign(epoch int32, start int64) bool {
	latest := e.latest()
	if epoch < 0 || epoch < latest || epoch == latest && start >= e.starts[len(e.starts)-1].start {
		return false
	}
	for n := len(e.starts); n > 0 && e.starts[n-1].start >= start; n-- {
		e.starts = e.starts[:n-1]
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

// readEpochs reads the file of a log's leader epochs; one that is not there has
// none. An error names the line that is wrong.
func readEpochs(fsys disk.FS, path string) (*epochs, error) {
	e := &epochs{}
	err := readCheckpoint(fsys, path, func(line string) error {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			return fmt.Errorf("want an epoch and its first offset, not %q", line)
		}
		epoch, err := parseNumber("epoch", fields[0], 32)
		if err != nil {
			return err
		}
		start, err := parseNumber("offset", fields[1], 64)
		if err != nil {
			return err
		}
		if n := len(e.starts); n > 0 && (int32(epoch) <= e.starts[n-1].epoch || start <= e.starts[n-1].start) {
			return fmt.Errorf("%q does not follow the line before", line)
		}
		e.starts = append(e.starts, epochStart{epoch: int32(epoch), start: start})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (e *epochs) write(fsys disk.FS, path string) error {
	lines := make([]string, len(e.starts))
	for i, s := range e.starts {
		lines[i] = fmt.Sprintf("%d %d", s.epoch, s.start)
	}
	return writeCheckpoint(fsys, path, lines)
}
