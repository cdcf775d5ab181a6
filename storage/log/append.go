package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// AppendOptions is how records come to be appended.
type AppendOptions struct {
	Now         time.Time
	LeaderEpoch int32
	Origin      Origin
	// Verification is the number under which the coordinator was asked, for a batch
	// that may open a transaction. See [Log.BeginVerification].
	Verification uint64
	// MarkerEpochEach says of a marker that it ends a transaction of
	// transaction.version 2, where each has an epoch of its own.
	MarkerEpochEach bool
	// FlushLater says that whoever appends calls [Log.FlushSoon] soon, once for all
	// that he appends until then.
	FlushLater bool
}

// AppendResult is where records were appended.
type AppendResult struct {
	BaseOffset    int64
	LastOffset    int64
	LeaderEpoch   int32         // of the leader that appended, or met the duplicate
	LogAppendTime int64         // milliseconds, -1 where the producer's timestamps are kept
	Duplicate     bool          // the same batch is in the log already, at these offsets
	RecordErrors  []RecordError // of a refused batch
}

// Append appends batches in Kafka's format 2. They are changed in place: they
// get their offsets, the leader epoch, and what the configuration asks for.
//
// A refused batch leaves the log as it was; the error wraps the *kerr.Error that
// Kafka answers. Nobody else may use records during the call; afterwards the log
// keeps no reference to it.
func (l *Log) Append(records []byte, o AppendOptions) (AppendResult, error) {
	if err := l.Failed(); err != nil {
		return AppendResult{}, storageError(err)
	}
	c := l.config.Load()
	a := admissions.Get().(*admission)
	defer a.retire()
	if err := a.admit(l.TopicPartition, records, c, &o); err != nil {
		return AppendResult{RecordErrors: a.errors}, err
	}
	result, err := l.write(a, c, &o)
	result.LeaderEpoch = o.LeaderEpoch
	l.noteDisk(err)
	if err != nil || result.Duplicate {
		return result, err
	}
	if !o.FlushLater || !c.FlushOnAck {
		l.appended(c, result)
	}
	return result, nil
}

// FlushSoon lets what was appended with FlushLater become committed. It does not
// wait for that.
func (l *Log) FlushSoon() {
	if l.config.Load().FlushOnAck {
		l.requestFlush()
	}
}

// noteDisk tells the operator when the disk begins to refuse appends, and when it
// takes them again; in between each producer is told.
func (l *Log) noteDisk(err error) {
	switch refused := errors.Is(err, kerr.KafkaStorageError); {
	case refused == (l.refusing.Load() != 0) || l.closed.Load():
	case refused && l.refusing.CompareAndSwap(0, time.Now().UnixMilli()):
		l.logger.Error("records cannot be written; their producers are refused", "partition", l.String(), "path", l.path, "err", err)
	case err == nil && l.refusing.Swap(0) != 0:
		l.logger.Info("records can be written again", "partition", l.String(), "path", l.path)
	}
}

// Refusing reports whether the disk did not take the last append, and since when.
func (l *Log) Refusing() (since time.Time, is bool) {
	ms := l.refusing.Load()
	return time.UnixMilli(ms), ms != 0
}

// Forgive forgets that the disk did not take the last append: it is known to have room.
func (l *Log) Forgive() { l.refusing.Store(0) }

// write gives the admitted batches their offsets and writes them.
func (l *Log) write(a *admission, c *Config, o *AppendOptions) (AppendResult, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return AppendResult{}, fmt.Errorf("append to %s: it is closed: %w", l, kerr.NotLeaderForPartition)
	}
	if o.LeaderEpoch < l.leaderFloor {
		return AppendResult{}, fmt.Errorf("append to %s in leader epoch %d: it is %d already: %w", l, o.LeaderEpoch, l.leaderFloor, kerr.NotLeaderForPartition)
	}
	if duplicate, err := l.checkProducers(a, o); err != nil || duplicate != nil {
		return duplicateResult(duplicate), err
	}
	base := l.End()
	next := l.assignOffsets(a, base, o.LeaderEpoch)
	newest := newestOf(a.batches)
	s, err := l.segmentFor(a, newest.timestamp, next-1, c, o.Now)
	if err != nil {
		return AppendResult{}, storageError(err)
	}
	l.noteEpoch(o.LeaderEpoch, base)
	if err := l.place(a, s, c, o.Now); err != nil {
		return AppendResult{}, err
	}
	result := AppendResult{BaseOffset: base, LastOffset: next - 1, LogAppendTime: -1}
	if c.LogAppendTime {
		result.LogAppendTime = o.Now.UnixMilli()
	}
	return result, nil
}

// place writes batches that have their offsets to s, the active segment, and
// moves the log's end behind them. The caller holds mu.
func (l *Log) place(a *admission, s *segment, c *Config, now time.Time) error {
	if err, broken := s.append(a.bytes, a.batches, c); err != nil {
		if broken != nil {
			l.fail(broken)
		}
		return storageError(err)
	}
	if s.room.zeroed {
		l.noteZeros()
	}
	next := a.batches[len(a.batches)-1].NextOffset()
	l.noteProducers(a, s, now)
	l.bookmarks.setEnd(bookmark{offset: next, base: s.base, position: s.size.Load()})
	l.end.Store(next)
	l.unverified.Add(int64(len(a.bytes)))
	return nil
}

// assignOffsets writes offsets and the leader epoch into the batches and returns
// the offset after them.
func (l *Log) assignOffsets(a *admission, base int64, epoch int32) int64 {
	for _, b := range a.batches {
		b.SetBaseOffset(base)
		b.SetPartitionLeaderEpoch(epoch)
		base = b.NextOffset()
	}
	return base
}

// newestOf returns the largest timestamp and the last offset of its batch.
func newestOf(batches []admitted) timeEntry {
	newest := noTime
	for _, b := range batches {
		if b.maxTimestamp > newest.timestamp {
			newest = timeEntry{timestamp: b.maxTimestamp, offset: b.LastOffset()}
		}
	}
	return newest
}

// segmentFor returns the active segment, a new one where the present one is
// full or old. The caller holds mu.
func (l *Log) segmentFor(a *admission, newest, last int64, c *Config, now time.Time) (*segment, error) {
	s := l.active()
	if !s.mustRoll(int64(len(a.bytes)), newest, last, c, now) {
		return s, nil
	}
	return l.roll(now)
}

// mustRoll decides as Kafka does: a segment ends by size, by the age of its
// first record (in the records' own time), by the size of its indexes, and where
// an offset would not fit into an index entry.
func (s *segment) mustRoll(more, newest, last int64, c *Config, now time.Time) bool {
	size := s.size.Load()
	if size == 0 {
		return false
	}
	age := now.Sub(s.created)
	if first := s.loadFirstTimestamp(); first >= 0 && newest >= 0 {
		age = time.Duration(newest-first) * time.Millisecond
	}
	return size > int64(c.SegmentBytes)-more ||
		age > c.segmentAge()-s.jitter(c) ||
		s.index.bytes()+offsetEntryWidth > c.SegmentIndexBytes ||
		s.times.bytes()+2*timeEntryWidth > c.SegmentIndexBytes ||
		last-s.base > maxRelativeOffset
}

// maxRelativeOffset is the largest distance from a segment's base offset that
// its indexes can hold.
const maxRelativeOffset = 1<<31 - 1

// jitter spreads the rolls of segments that were begun together.
func (s *segment) jitter(c *Config) time.Duration {
	most := min(c.SegmentJitter, c.segmentAge())
	if most <= 0 {
		return 0
	}
	return time.Duration(rand.New(rand.NewPCG(uint64(s.base), uint64(s.created.UnixNano()))).Int64N(int64(most)))
}

// roll ends the active segment and begins the next at the log's end. The caller
// holds mu.
//
// Where acknowledgements count disks, the old segment is on the disk before the
// new one is there: so only the last segment can be torn by a stop, and a hole
// before it is damage, behind which all is kept.
func (l *Log) roll(now time.Time) (*segment, error) {
	old := l.active()
	if l.Config().FlushOnAck {
		if err := old.syncRecords(); err != nil {
			l.fail(err)
			return nil, err
		}
	}
	if err := old.seal(); err != nil {
		return nil, fmt.Errorf("complete the indexes of %s: %w", old.records.name, err)
	}
	// A recovery that begins with the snapshot does not read what lies before it, so
	// it must find there which transactions were aborted.
	if err := old.txns.sync(); err != nil {
		return nil, err
	}
	if err := l.storeProducers(); err != nil {
		return nil, err
	}
	s := newSegment(l.dir.fs, l.path, l.End())
	if _, err := s.records.acquire(); err != nil {
		return nil, err
	}
	s.records.release()
	l.namesChanged = true
	l.addSegment(s, now)
	return s, nil
}

// appended lets what was written become committed: at once, or with the next
// flush.
func (l *Log) appended(c *Config, r AppendResult) {
	switch {
	case c.FlushOnAck:
		l.requestFlush()
		return
	case r.LastOffset+1-l.Flushed() >= c.FlushMessages:
		l.requestFlush()
	}
	if l.onCommitted != nil {
		l.onCommitted(r.LastOffset + 1)
	}
}
