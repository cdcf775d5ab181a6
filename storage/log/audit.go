package log

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/klamm-io/klamm/protocol/record"
)

// The files beside a segment have no checksums. All that they say also follows from the
// batches: a scrub reads those in order, and holds the files against them. What is
// wrong in an index is made anew from the batches; a batch that contradicts a sound file
// in what its own checksum does not cover, its leader epoch, is damaged.

// audit is what a scrub has learned of one log from the batches that it read so far.
type audit struct {
	log       *Log
	rewinds   int64      // of the log when the audit began
	producers *producers // nil where it is not known which transactions are open
	epochs    epochRuns  // as the batches have them
	partial   bool       // there are batches that it has not seen
	upTo      int64      // all below this offset was read

	// Of the segment that is read.
	segment *segment
	sound   bool // nothing of it was damaged
	index   []offsetEntry
	times   []timeEntry
	newest  int64 // the largest timestamp so far
	aborted []abortedTxn
	wrong   error // what is wrong with the indexes
}

// offsetEntry is an entry of an offset index.
type offsetEntry struct{ last, position int64 }

func (l *Log) newAudit() *audit {
	return &audit{log: l, rewinds: l.rewinds.Load(), partial: l.Config().Compact}
}

// begin turns to a segment, of which what lies below position to is read.
func (a *audit) begin(s *segment, to int64) {
	a.segment, a.sound, a.newest, a.aborted, a.wrong = s, !s.damage.any(), -1, nil, nil
	a.index, a.times = nil, nil
	if err := s.index.each(func(e offsetEntry) {
		if e.position < to {
			a.index = append(a.index, e)
		}
	}); err != nil {
		a.wrong = err
	}
	if err := s.times.each(func(e timeEntry) { a.times = append(a.times, e) }); err != nil {
		a.wrong = err
	}
	switch p, err := readSnapshot(a.log.dir.fs, a.log.snapshotFile(s.base), s.created); {
	case a.log.Config().Compact: // of aborted transactions it leaves nothing that tells of them
		a.producers = nil
	case s.base == 0:
		a.producers = newProducers()
	case err == nil:
		a.producers = p
	}
}

// batch takes in a sound batch at a position.
func (a *audit) batch(b record.Batch, at int64) {
	a.indexed(b, at)
	a.epochs.add(a.segment, b, at)
	if a.producers == nil {
		return
	}
	if done, ended := a.producers.update(b, b.MaxTimestamp()); ended && done.Aborted {
		a.aborted = append(a.aborted, abortedTxn{AbortedTxn{done.ProducerID, done.FirstOffset}, done.LastOffset, done.LastStable})
	}
}

// indexed holds the entries that should lead to b against it.
func (a *audit) indexed(b record.Batch, at int64) {
	last := b.LastOffset()
	for len(a.index) > 0 && a.index[0].position <= at {
		if e := a.index[0]; e.position < at || e.last != last {
			a.wrong = fmt.Errorf("%s: an entry leads from offset %d to position %d", a.segment.index.entries.name, e.last, e.position)
		}
		a.index = a.index[1:]
	}
	for len(a.times) > 0 && a.times[0].offset <= last {
		if e := a.times[0]; e.offset < last || e.timestamp != b.MaxTimestamp() || e.timestamp <= a.newest {
			a.wrong = fmt.Errorf("%s: an entry leads from time %d to offset %d", a.segment.times.entries.name, e.timestamp, e.offset)
		}
		a.times = a.times[1:]
	}
	if b.Count() > 0 {
		a.newest = max(a.newest, b.MaxTimestamp())
	}
}

// missed notes that a segment was not read, or is damaged: what it says of transactions
// and epochs is not known.
func (a *audit) missed() { a.producers, a.partial = nil, true }

// end judges the segment's indexes, of which all below offset flushed was read by scan,
// and makes those anew that are wrong.
func (a *audit) end(scan *scanner, flushed int64) error {
	s := a.segment
	a.upTo, a.partial = flushed, a.partial || scan.sparse
	if !a.sound || s.damage.any() || scan.at < scan.to || a.rewinds != a.log.rewinds.Load() {
		a.missed()
		return nil
	}
	if left := a.times; a.wrong == nil && (len(a.index) > 0 || len(left) > 0 && (left[0].offset < flushed || left[0].offset >= s.next.Load())) {
		a.wrong = fmt.Errorf("the indexes of %s lead beyond it", s.records.name)
	}
	if largest := s.times.largest().timestamp; a.wrong == nil && largest < a.newest {
		a.wrong = fmt.Errorf("%s knows of time %d as the largest, a record has %d", s.times.entries.name, largest, a.newest)
	}
	s.unproven.Store(false)
	var err error
	if a.wrong != nil {
		a.log.logger.Error("an index is not what its segment says; it is made anew", "partition", a.log.String(), "err", a.wrong)
		err = a.log.reindex(s)
	}
	if a.producers != nil && !s.agreesOnTxns(a.aborted, flushed) {
		a.log.logger.Error("an index of aborted transactions is not what its segment says; it is made anew", "partition", a.log.String(), "file", s.txns.entries.name)
		err = errors.Join(err, a.log.replaceTxns(s, a.aborted, flushed))
	}
	return err
}

// finish holds the leader epochs of all that was read against those that are written
// down. Where they differ in more than one batch the file is wrong.
func (a *audit) finish() error {
	l := a.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() || a.partial || a.rewinds != l.rewinds.Load() || len(a.epochs) == 0 || a.epochs[0].epoch < 0 {
		return nil
	}
	fresh := &epochs{}
	for i, run := range a.epochs {
		odd := a.epochs.odd(i)
		if run.start >= l.Start() && (odd || run.batches == 1 && l.epochs.epochAt(run.start) != run.epoch) {
			l.logger.Error("a batch is damaged: its leader epoch is not that of its offset", "partition", l.String(), "file", run.segment.records.name, "position", run.first.from)
			l.note(run.segment, run.first, run.segment.damage.asOf())
			return nil
		}
		if !odd {
			fresh.assign(run.epoch, run.start)
		}
	}
	fresh.truncateTo(l.Start())
	read := len(fresh.starts)
	if len(l.epochs.starts) >= read && slices.Equal(l.epochs.starts[:read], fresh.starts) {
		return nil
	}
	until := fresh.starts[read-1].epoch
	for _, later := range l.epochs.starts { // of what was appended since, or is not flushed
		if later.epoch > until && later.start >= a.upTo {
			fresh.starts = append(fresh.starts, later)
		}
	}
	l.logger.Error("the leader epochs are not what the batches say; they are taken from those", "partition", l.String(), "file", l.file(leaderEpochFile))
	l.epochs, l.epochsChanged = fresh, true
	return l.storeEpochs()
}

// reindex makes the indexes of a segment anew from the headers of its batches.
func (l *Log) reindex(s *segment) error {
	defer l.interruptCompaction()()
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() || !slices.Contains(*l.segments.Load(), s) {
		return nil // it is gone, or another is in its place
	}
	if err := s.clearIndexes(); err != nil {
		return err
	}
	err := s.soundHeaders(0, s.size.Load(), func(header record.Batch, at int64) error {
		s.indexBatch(header, header.MaxTimestamp(), at, l.Config().IndexIntervalBytes)
		return nil
	})
	if err != nil && !errors.Is(err, errGarbage) {
		return err
	}
	if s != l.active() {
		s.times.mark()
	}
	return errors.Join(s.index.store(), s.times.store(), s.index.sync(), s.times.sync())
}

// replaceTxns writes what the index of transactions of a segment says of markers below
// an offset.
func (l *Log) replaceTxns(s *segment, aborted []abortedTxn, below int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() || !slices.Contains(*l.segments.Load(), s) {
		return nil
	}
	return s.txns.replace(aborted, below, s.next.Load())
}

// agreesOnTxns reports whether the entries for markers below an offset are those, and
// none is for a marker that is not there.
func (s *segment) agreesOnTxns(want []abortedTxn, below int64) bool {
	got, err := s.txns.all()
	if err != nil || len(got) > 0 && got[len(got)-1].lastOffset >= s.next.Load() {
		return false
	}
	return slices.Equal(got[:txnsBelow(got, below)], want[:txnsBelow(want, below)])
}

func txnsBelow(all []abortedTxn, offset int64) int {
	n, _ := slices.BinarySearchFunc(all, offset, func(a abortedTxn, o int64) int { return cmp.Compare(a.lastOffset, o) })
	return n
}

// replace makes aborted the entries for markers below an offset, and keeps those of
// later ones, before next, as far as they can be read.
func (x *txnIndex) replace(aborted []abortedTxn, below, next int64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	entries := aborted[:txnsBelow(aborted, below):txnsBelow(aborted, below)]
	for i := range x.entries.len() {
		entry, err := x.entries.at(i)
		if err != nil {
			break
		}
		if a, err := decodeAbortedTxn(entry); err == nil && a.lastOffset >= below && a.lastOffset < next {
			entries = append(entries, a)
		}
	}
	if err := x.entries.cut(0); err != nil {
		return err
	}
	for _, a := range entries {
		x.entries.append(a.encode())
	}
	return errors.Join(x.entries.store(), x.entries.sync())
}
