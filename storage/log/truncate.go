package log

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/record"
)

// Truncation takes back what a follower appended and its leader does not have
// (KIP-101). It touches files from the log's end on, so that a stop at any moment
// leaves a log that is a prefix of the old one, and never less than what stays.
//
// The caller sees to it that nobody appends meanwhile, and that no record goes
// which a consumer was shown.

// TruncateTo makes offset the log's end, if it is before the present one: records
// at and after it go. Where it lies within a batch the whole batch goes, and the
// log ends with the batch before. An offset below the start is OFFSET_OUT_OF_RANGE.
func (l *Log) TruncateTo(offset int64) error {
	if err := l.Failed(); err != nil {
		return storageError(err)
	}
	if offset >= l.End() {
		return nil
	}
	defer l.interruptCompaction()()
	l.dir.checkpointMu.Lock()
	defer l.dir.checkpointMu.Unlock()
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	if offset < l.Start() {
		return fmt.Errorf("truncate %s to %d: it starts at %d: %w", l, offset, l.Start(), kerr.OffsetOutOfRange)
	}
	c, err := l.findCut(offset)
	if err != nil {
		l.fail(fmt.Errorf("truncate it to %d: %w", offset, err))
		return storageError(err)
	}
	if err := l.lowerRecoveryPoint(c.end); err != nil {
		return fmt.Errorf("truncate %s to %d: %w", l, offset, err)
	}
	if err := l.truncate(c); err != nil {
		l.fail(fmt.Errorf("truncate it to %d: %w", offset, err))
		return storageError(err)
	}
	return nil
}

// cut is a place where a log can end.
type cut struct {
	segment  int   // number of the segment that becomes the last
	position int64 // in it
	end      int64 // the log's, then
}

// findCut returns where the log is to be cut so that nothing of offset and later
// ones stays. The caller holds flushMu.
func (l *Log) findCut(offset int64) (cut, error) {
	segments := *l.segments.Load()
	c := cut{segment: max(0, segmentIndex(segments, offset)), end: offset}
	s := segments[c.segment]
	size := s.size.Load()
	position, found, err := s.locate(offset, size)
	if errors.Is(err, errGarbage) {
		_ = l.verifySegment(context.Background(), s, size, s.damage.asOf(), 0) // what is damaged is known then; it has no error but that of its context
		position, found, err = s.locate(offset, size)
	}
	if c.position = position; err != nil || !found {
		return c, err
	}
	if s.damage.soundUntil(position, size) == position { // what stands there does not say where it begins
		before, err := s.offsetAt(position)
		c.end = min(offset, before)
		return c, err
	}
	err = s.headers(position, size, func(header record.Batch, _ int64) error {
		c.end = min(offset, header.BaseOffset())
		return errStop
	})
	return c, err
}

// offsetAt returns the offset after the last sound batch before a position.
func (s *segment) offsetAt(position int64) (int64, error) {
	next := s.base
	err := s.soundHeaders(0, position, func(header record.Batch, _ int64) error {
		next = header.NextOffset()
		return nil
	})
	if errors.Is(err, errGarbage) {
		err = nil // damage that nobody has noted yet hides nothing that is not damaged
	}
	return next, err
}

// lowerRecoveryPoint sees to it that neither a stop takes what is appended from
// offset on for durable, nor compaction for compacted. The caller holds the Dir's
// checkpointMu.
func (l *Log) lowerRecoveryPoint(offset int64) error {
	if err := l.dir.lowerCompacted(l, offset); err != nil {
		return err
	}
	if l.recoveryPoint <= offset {
		return nil
	}
	l.recoveryPoint = offset
	return l.dir.writeCheckpoints(l.dir.Logs())
}

func (l *Log) truncate(c cut) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	segments := *l.segments.Load()
	if err := l.dropSegments(segments[c.segment+1:]); err != nil {
		return err
	}
	kept := segments[: c.segment+1 : c.segment+1]
	l.segments.Store(&kept)
	last := kept[c.segment]
	if err := l.cutSegment(last, c); err != nil {
		return err
	}
	l.start.Store(min(l.Start(), c.end))
	before, err := last.endOfBatches()
	if err != nil {
		return err
	}
	last.next.Store(before)
	if before < c.end {
		if last, err = l.beginAt(c.end); err != nil {
			return err
		}
	}
	l.endAt(c.end, last)
	return l.truncateState(c.end)
}

// beginAt adds an empty segment, durably, so that the log ends there after a start too:
// what lay before was compacted away, or damaged. The caller holds mu.
func (l *Log) beginAt(end int64) (*segment, error) {
	if err := l.active().seal(); err != nil {
		return nil, err
	}
	s, err := l.makeSegment(end)
	if err != nil {
		return nil, err
	}
	l.addSegment(s, time.Now())
	return s, nil
}

// endOfBatches returns the offset after the last sound batch, the base where there is
// none. What was compacted away may have reached further.
func (s *segment) endOfBatches() (int64, error) {
	from, err := s.index.last()
	if err != nil {
		return 0, err
	}
	next := s.base
	err = s.soundHeaders(from, s.size.Load(), func(header record.Batch, _ int64) error {
		next = header.NextOffset()
		return nil
	})
	if err != nil || next == s.base {
		return s.offsetAt(s.size.Load()) // the index leads nowhere
	}
	return next, nil
}

// makeSegment makes the file of an empty segment, durably.
func (l *Log) makeSegment(base int64) (*segment, error) {
	s := newSegment(l.dir.fs, l.path, base)
	if err := s.cutFile(0); err != nil {
		return nil, err
	}
	return s, l.syncNames() // the log's first flush may be to come yet
}

// dropSegments deletes whole segments, the last first.
func (l *Log) dropSegments(segments []*segment) error {
	for i := len(segments) - 1; i >= 0; i-- {
		segments[i].retire()
		for _, name := range segments[i].files() {
			if err := l.dir.remove(name); err != nil {
				return err
			}
		}
		// One after the other: a gap must not appear, whatever a stop leaves.
		if err := l.dir.fs.SyncDir(l.path); err != nil {
			return fmt.Errorf("flush folder %s: %w", l.path, err)
		}
	}
	return nil
}

// cutSegment makes s the active segment, ended where c says.
func (l *Log) cutSegment(s *segment, c cut) error {
	if c.position < s.size.Load() {
		s.size.Store(c.position) // readers stop there from here on
		if err := l.cutIndexes(s, c.position); err != nil {
			return err
		}
		s.synced = min(s.synced, c.position)
	}
	s.damage.cutFrom(c.position)
	return s.cutFile(c.position)
}

// cutIndexes forgets what the indexes of s know of batches from position on.
func (l *Log) cutIndexes(s *segment, position int64) error {
	from := int64(0)
	if position > 0 {
		var err error
		if from, err = s.index.before(position - 1); err != nil {
			return err
		}
	}
	err := s.resetTo(from)
	if errors.Is(err, errGarbage) {
		from, err = 0, s.resetTo(0) // the index leads to damage
	}
	if err != nil {
		return err
	}
	s.firstTimestamp = -1
	err = s.soundHeaders(from, position, func(header record.Batch, at int64) error {
		s.indexBatch(header, header.MaxTimestamp(), at, l.Config().IndexIntervalBytes)
		return nil
	})
	if errors.Is(err, errGarbage) {
		err = nil // an index may lack entries
	}
	return err
}

// cutFile makes the records' file size bytes long, durably.
func (s *segment) cutFile(size int64) error {
	file, err := s.records.acquire()
	if err != nil {
		return err
	}
	defer s.records.release()
	s.room = room{reserved: size, from: size}
	if err := file.Truncate(size); err != nil {
		return fmt.Errorf("truncate %s to %d bytes: %w", s.records.name, size, err)
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", s.records.name, err)
	}
	return nil
}

// endAt publishes the log's end after it moved back, or to another place
// altogether. The caller holds flushMu and mu.
func (l *Log) endAt(end int64, active *segment) {
	l.rewinds.Add(1)
	l.end.Store(end)
	l.flushed.Store(min(l.flushed.Load(), end))
	l.highWatermark.Store(min(l.highWatermark.Load(), end))
	mark := bookmark{offset: end, base: active.base, position: active.size.Load()}
	l.bookmarks.setEnd(mark)
	if l.flushed.Load() == end {
		l.bookmarks.setFlushed(mark)
	}
}

// truncateState takes the leader epochs and the producers back to where the log
// ends now. The caller holds mu.
func (l *Log) truncateState(end int64) error {
	l.epochsChanged = l.epochs.truncateFrom(end) || l.epochsChanged
	if err := l.storeEpochs(); err != nil {
		return err
	}
	l.ended.Store(nil)
	snapshots, err := l.snapshotsOnDisk()
	if err != nil {
		return err
	}
	now := time.Now()
	l.snapshotAt = 0
	from, err := l.takeSnapshot(snapshots, now)
	if err != nil {
		return err
	}
	for _, s := range *l.segments.Load() {
		if err := l.takeTxns(s, s.txns.cutFrom(end), from); err != nil {
			return err
		}
	}
	return l.replayProducers(from, now.UnixMilli())
}

// snapshotsOnDisk returns the offsets of the producers' snapshots, ascending.
func (l *Log) snapshotsOnDisk() ([]int64, error) {
	entries, err := l.dir.fs.ReadDir(l.path)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", l.path, err)
	}
	var all []int64
	for _, entry := range entries {
		stem, is := strings.CutSuffix(entry.Name(), ".snapshot")
		if offset, err := parseNumber("offset", stem, 64); is && err == nil {
			all = append(all, offset)
		}
	}
	return all, nil
}

// StartAt forgets everything and begins the log anew, empty, at offset: its leader
// has nothing left of what it held.
func (l *Log) StartAt(offset int64) error {
	if err := l.Failed(); err != nil {
		return storageError(err)
	}
	defer l.interruptCompaction()()
	l.dir.checkpointMu.Lock()
	defer l.dir.checkpointMu.Unlock()
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	if err := l.lowerRecoveryPoint(0); err != nil {
		return fmt.Errorf("start %s anew at %d: %w", l, offset, err)
	}
	if err := l.startAnew(offset); err != nil {
		l.fail(fmt.Errorf("start it anew at %d: %w", offset, err))
		return storageError(err)
	}
	return nil
}

func (l *Log) startAnew(offset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.dropSegments(*l.segments.Load()); err != nil {
		return err
	}
	s, err := l.makeSegment(offset)
	if err != nil {
		return err
	}
	s.created = time.Now()
	l.segments.Store(&[]*segment{s})
	l.start.Store(offset)
	l.flushed.Store(offset)
	l.highWatermark.Store(offset)
	l.endAt(offset, s)
	return l.forgetState()
}

// forgetState begins the leader epochs and the producers anew. The caller holds
// mu.
func (l *Log) forgetState() error {
	l.epochs, l.epochsChanged = &epochs{}, true
	if err := l.storeEpochs(); err != nil {
		return err
	}
	l.producers, l.snapshotAt = newProducers(), 0
	l.ended.Store(nil)
	l.noteUnstable()
	return l.dropSnapshots(math.MaxInt64)
}

// DamagedFrom returns the first offset from the start on whose record may be lost to
// damage that is known.
func (l *Log) DamagedFrom() (offset int64, known bool, err error) {
	for _, s := range *l.segments.Load() {
		size := s.size.Load()
		position := s.damage.soundUntil(0, size)
		if position == size && !s.damage.endsEarly() || s.next.Load() <= l.Start() {
			continue
		}
		offset, err := s.offsetAt(position)
		return max(offset, l.Start()), true, err
	}
	return 0, false, nil
}
