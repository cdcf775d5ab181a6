package log

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/storage/disk"
)

// Slice is a region of a segment's file that holds whole batches. The file
// stays open, even if the segment is deleted meanwhile, until Close.
type Slice struct {
	disk.Region
	segment *segment
}

// Close lets go of the file. It is to be called exactly once; on an empty slice
// it does nothing.
func (s Slice) Close() {
	if s.segment != nil {
		s.segment.records.release()
	}
}

// Read returns batches from the one that holds offset on, of at most maxBytes
// together, none of which begins at or after end. They all lie in one segment:
// what follows takes another Read. If the first batch alone is larger than
// maxBytes, it is returned if atLeastOne is set, else nothing is. An empty slice
// means that there is nothing to read.
//
// An offset below Start or beyond End is OFFSET_OUT_OF_RANGE; batches that are
// known to be damaged are CORRUPT_MESSAGE.
func (l *Log) Read(offset int64, maxBytes int, end int64, atLeastOne bool) (Slice, error) {
	for {
		start, logEnd := l.Start(), l.End()
		if offset < start || offset > logEnd {
			return Slice{}, fmt.Errorf("read %s at offset %d: it has %d to %d: %w", l, offset, start, logEnd, kerr.OffsetOutOfRange)
		}
		if offset >= min(end, logEnd) {
			return Slice{}, nil
		}
		slice, err := l.read(offset, maxBytes, min(end, logEnd), atLeastOne)
		if err == nil || !errors.Is(err, errRetired) {
			return slice, err
		}
		if l.closed.Load() {
			return Slice{}, fmt.Errorf("read %s: %w: %w", l, err, kerr.UnknownTopicOrPartition)
		}
		// Retention deleted the segment between the look and the read: look again.
	}
}

func (l *Log) read(offset int64, maxBytes int, end int64, atLeastOne bool) (Slice, error) {
	segments := *l.segments.Load()
	for _, s := range segments[max(0, segmentIndex(segments, offset)):] {
		if s.base >= end {
			break
		}
		slice, found, err := l.readSegment(s, offset, maxBytes, end, atLeastOne)
		if err != nil {
			return Slice{}, fmt.Errorf("read %s at offset %d: %w", l, offset, readError(err))
		}
		if found {
			return slice, nil
		}
		if s.damage.endsEarly() {
			return Slice{}, fmt.Errorf("read %s at offset %d: the end of %s is missing: %w", l, offset, s.records.name, kerr.CorruptMessage)
		}
		// Only a segment whose tail was compacted away ends before the next begins.
	}
	return Slice{}, nil
}

// readError gives a failed read the code that clients know.
func readError(err error) error {
	var coded *kerr.Error
	switch {
	case errors.Is(err, errRetired), errors.As(err, &coded):
		return err
	case errors.Is(err, errGarbage):
		return fmt.Errorf("%w: %w", err, kerr.CorruptMessage)
	}
	return storageError(err)
}

// readSegment reads from s. found is false where s holds nothing from offset on.
func (l *Log) readSegment(s *segment, offset int64, maxBytes int, end int64, atLeastOne bool) (slice Slice, found bool, err error) {
	to, err := l.endPosition(s, end)
	if err != nil {
		return Slice{}, false, err
	}
	w := openWindow()
	defer w.close()
	from, found, err := s.locateIn(w, offset, to)
	if err != nil || !found {
		return Slice{}, false, err
	}
	sound := s.damage.soundUntil(from, to)
	if sound == from {
		return Slice{}, false, fmt.Errorf("%s is damaged at position %d: %w", s.records.name, from, kerr.CorruptMessage)
	}
	until, err := s.wholeBatches(w, from, from+int64(maxBytes), sound)
	if err != nil {
		return Slice{}, false, err
	}
	if until == from {
		if !atLeastOne {
			return Slice{}, true, nil
		}
		if until, err = s.batchEnd(from, sound); err != nil {
			return Slice{}, false, err
		}
	}
	file, err := s.records.acquire()
	if err != nil {
		return Slice{}, false, err
	}
	return Slice{Region: disk.Region{File: file, Off: from, Len: int(until - from)}, segment: s}, true, nil
}

// endPosition returns the position in s at which the batch with offset end
// begins, or at which s ends.
func (l *Log) endPosition(s *segment, end int64) (int64, error) {
	if position, known := l.bookmarks.position(end, s.base); known {
		return position, nil
	}
	size := s.size.Load()
	if end >= s.next.Load() {
		return size, nil
	}
	position, _, err := s.locate(end, size)
	return position, err
}
