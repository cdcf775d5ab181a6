package log

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/internal/breakage"
	"github.com/klamm-io/klamm/protocol/record"
)

// AppendReplicated appends batches as another log has them, with their offsets,
// their leader epochs and what their leader made of them: they are written as
// they come. Only their checksums are proved, and that they follow the log's end:
// the leader held everything else before it took them.
//
// After an error the result tells what was appended before it, -1 for nothing.
// Nobody else may use records during the call; afterwards the log keeps no
// reference to it.
func (l *Log) AppendReplicated(records []byte, now time.Time) (AppendResult, error) {
	if err := l.Failed(); err != nil {
		return AppendResult{}, storageError(err)
	}
	c := l.config.Load()
	a := admissions.Get().(*admission)
	defer a.retire()
	result := AppendResult{BaseOffset: -1, LastOffset: -1, LogAppendTime: -1}
	var err error
	for len(records) > 0 && err == nil {
		if records, err = l.replicateRun(a, records, c, now); err == nil {
			if result.BaseOffset < 0 {
				result.BaseOffset = a.batches[0].BaseOffset()
			}
			result.LastOffset = a.batches[len(a.batches)-1].LastOffset()
		}
	}
	l.noteDisk(err)
	if result.BaseOffset >= 0 {
		l.appended(c, result)
	}
	if err != nil {
		return result, fmt.Errorf("replicate to %s: %w", l, err)
	}
	return result, nil
}

// replicateRun appends the batches at the head of records that fit one segment
// together, and returns what is left.
func (l *Log) replicateRun(a *admission, records []byte, c *Config, now time.Time) (rest []byte, err error) {
	if rest, err = a.admitReplicated(records, c.SegmentBytes); err != nil {
		return nil, err
	}
	return rest, l.writeReplicated(a, c, now)
}

// admitReplicated takes the batches at the head of records that fit one segment,
// at least one, and returns what is left.
func (a *admission) admitReplicated(records []byte, most int) (rest []byte, err error) {
	a.batches, rest = a.batches[:0], records
	for len(rest) > 0 {
		batch, after, err := record.Next(rest)
		if err == nil && !breakage.Is(breakage.UnverifiedCopy) {
			err = batch.Verify()
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, kerr.CorruptMessage)
		}
		if n := len(a.batches); n > 0 {
			taken, first := len(records)-len(rest), a.batches[0].BaseOffset()
			if taken+len(batch) > most || batch.LastOffset()-first > maxRelativeOffset {
				break
			}
		}
		a.batches = append(a.batches, admitted{Batch: batch, maxTimestamp: batch.MaxTimestamp()})
		rest = after
	}
	a.bytes = records[:len(records)-len(rest)]
	return rest, nil
}

// writeReplicated writes admitted batches at the offsets that they have.
func (l *Log) writeReplicated(a *admission, c *Config, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return fmt.Errorf("it is closed: %w", kerr.NotLeaderForPartition)
	}
	next := l.End()
	for _, b := range a.batches {
		if b.BaseOffset() < next || b.LastOffsetDelta() < 0 {
			return fmt.Errorf("a batch of offsets %d to %d does not follow the end at %d: %w", b.BaseOffset(), b.LastOffset(), next, kerr.OffsetOutOfRange)
		}
		next = b.NextOffset()
	}
	s, err := l.segmentFor(a, newestOf(a.batches).timestamp, next-1, c, now)
	if err != nil {
		return storageError(err)
	}
	for _, b := range a.batches {
		l.noteEpoch(b.PartitionLeaderEpoch(), b.BaseOffset())
	}
	return l.place(a, s, c, now)
}
