package log

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/protocol/record"
)

// TimestampOffset is a record found by its timestamp.
type TimestampOffset struct {
	Offset      int64
	Timestamp   int64 // milliseconds
	LeaderEpoch int32
}

// OffsetForTimestamp returns the first record below upTo whose timestamp is the
// given one or later.
func (l *Log) OffsetForTimestamp(timestamp, upTo int64) (found TimestampOffset, ok bool, err error) {
	err = l.lookUp(func() error {
		for _, s := range *l.segments.Load() {
			if s.next.Load() <= l.Start() || s.times.largest().timestamp < timestamp {
				continue
			}
			if found, ok, err = l.searchTime(s, timestamp, upTo); err != nil || ok {
				return err
			}
		}
		return nil
	})
	return found, ok, err
}

// lookUp calls look, and again where a segment was deleted or replaced
// meanwhile.
func (l *Log) lookUp(look func() error) error {
	for {
		err := look()
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errRetired):
			return fmt.Errorf("look up a timestamp in %s: %w", l, readError(err))
		case l.closed.Load():
			return fmt.Errorf("look up a timestamp in %s: %w: %w", l, err, kerr.UnknownTopicOrPartition)
		}
	}
}

// searchTime returns the first record in s from the log's start on whose
// timestamp is the given one or later.
func (l *Log) searchTime(s *segment, timestamp, upTo int64) (found TimestampOffset, ok bool, err error) {
	entry, err := s.times.lookup(timestamp)
	if err != nil {
		return found, false, err
	}
	from := max(entry.offset, l.Start())
	size := s.size.Load()
	position, holds, err := s.locate(from, size)
	if err != nil || !holds {
		return found, false, err
	}
	err = s.headers(position, size, func(header record.Batch, at int64) error {
		if header.BaseOffset() >= upTo {
			return errStop
		}
		if header.MaxTimestamp() < timestamp {
			return nil
		}
		batch, err := l.readBatch(s, at, size)
		if err != nil {
			return err
		}
		found, ok, err = firstRecord(batch, func(r TimestampOffset) bool {
			return r.Timestamp >= timestamp && r.Offset >= l.Start() && r.Offset < upTo
		})
		if err == nil && ok {
			err = errStop
		}
		return err
	})
	return found, ok, err
}

// MaxTimestamp returns the first of the records below upTo that have the largest
// timestamp.
func (l *Log) MaxTimestamp(upTo int64) (found TimestampOffset, ok bool, err error) {
	err = l.lookUp(func() error {
		found, ok, err = l.maxTimestamp(upTo)
		return err
	})
	return found, ok, err
}

func (l *Log) maxTimestamp(upTo int64) (TimestampOffset, bool, error) {
	var newest *segment
	for _, s := range *l.segments.Load() {
		if s.base < upTo && s.size.Load() > 0 && (newest == nil || s.times.largest().timestamp > newest.times.largest().timestamp) {
			newest = s
		}
	}
	if newest == nil {
		return TimestampOffset{}, false, nil
	}
	largest := newest.times.largest()
	size := newest.size.Load()
	position, found, err := newest.locate(largest.offset, size)
	if err != nil || !found {
		return TimestampOffset{}, false, err
	}
	batch, err := l.readBatch(newest, position, size)
	if err != nil {
		return TimestampOffset{}, false, err
	}
	result, ok, err := firstRecord(batch, func(r TimestampOffset) bool { return r.Timestamp == batch.MaxTimestamp() })
	return result, ok && result.Offset < upTo, err
}

// firstRecord returns the first record of the batch that matches.
func firstRecord(b record.Batch, matches func(TimestampOffset) bool) (found TimestampOffset, ok bool, err error) {
	err = b.Each(&record.Scratch{}, unfoldedMost, func(r *record.Record) error {
		at := TimestampOffset{
			Offset:      b.BaseOffset() + int64(r.OffsetDelta),
			Timestamp:   b.BaseTimestamp() + r.TimestampDelta,
			LeaderEpoch: b.PartitionLeaderEpoch(),
		}
		if b.Attributes().LogAppendTime() {
			at.Timestamp = b.MaxTimestamp()
		}
		if !matches(at) {
			return nil
		}
		found, ok = at, true
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return found, ok, err
}

// EndOffsetForEpoch returns the largest leader epoch that is not above the given
// one, and where it ends (KIP-101). Both are -1 where the log knows none.
func (l *Log) EndOffsetForEpoch(epoch int32) (foundEpoch int32, end int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epochs.endOffsetFor(epoch, l.End())
}

// EpochAt returns the leader epoch of the record at offset, -1 where it is not known.
func (l *Log) EpochAt(offset int64) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epochs.epochAt(offset)
}

// AbortedTxn is a transaction that was aborted: records of its producer from
// FirstOffset on are not to be delivered to readers of committed records.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
}
