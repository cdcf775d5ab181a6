package log

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/internal/breakage"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// segment is a stretch of a log in one file, with its indexes.
type segment struct {
	base    int64
	dir     string
	records handle
	index   offsetIndex
	times   timeIndex
	txns    txnIndex

	size atomic.Int64 // bytes of whole batches in the file: what readers may see
	next atomic.Int64 // the offset after the last batch, base while empty

	damage damage

	unproven atomic.Bool // the indexes are as an earlier process left them, and were not held against the records since

	flushes atomic.Int64 // since room was made ahead of the end, see reserve

	// Guarded by the log's mu.
	created        time.Time // when this process made or found it
	firstTimestamp int64     // largest timestamp of the first batch, -1 where not known
	unindexed      int64     // bytes appended since the last index entry
	room           room

	// Guarded by the log's flushMu.
	synced int64 // bytes of the file known to be durable
}

// segmentName is the name of a segment's files without their extension.
func segmentName(base int64) string {
	name := strconv.FormatInt(base, 10)
	return "00000000000000000000"[:20-len(name)] + name
}

func newSegment(fs disk.FS, dir string, base int64) *segment {
	path := filepath.Join(dir, segmentName(base))
	s := &segment{
		base:           base,
		dir:            dir,
		records:        handle{fs: fs, name: path + ".log"},
		index:          newOffsetIndex(fs, path, base),
		times:          newTimeIndex(fs, path, base),
		txns:           newTxnIndex(fs, path),
		firstTimestamp: -1,
	}
	s.next.Store(base)
	return s
}

// handles are all files of the segment, the records last.
func (s *segment) handles() []*handle {
	return []*handle{&s.txns.entries.handle, &s.index.entries.handle, &s.times.entries.handle, &s.records}
}

// append writes batches, which lie one after the other in all, after the last
// one. On an error the segment is as before, or broken is returned too: then
// nobody knows what its file holds.
func (s *segment) append(all []byte, batches []admitted, c *Config) (err, broken error) {
	file, err := s.records.acquire()
	if err != nil {
		return err, nil
	}
	defer s.records.release()
	at := s.size.Load()
	if at == 0 {
		if err := s.makeIndexes(); err != nil {
			return err, nil
		}
	}
	s.reserve(file, at+int64(len(all)), c)
	if _, err := file.WriteAt(all, at); err != nil {
		s.room = room{reserved: at, from: at}
		cut := file.Truncate(at)
		if cut == nil {
			cut = file.Sync() // else it may show again where a power cut takes what is written over it
		}
		if cut != nil {
			broken = fmt.Errorf("cut off a half-written batch at position %d of %s: %w", at, s.records.name, cut)
		}
		return fmt.Errorf("write %d bytes to %s: %w", len(all), s.records.name, err), broken
	}
	position := at
	for _, b := range batches {
		s.indexBatch(b.Batch, b.maxTimestamp, position, c.IndexIntervalBytes)
		position += int64(len(b.Batch))
	}
	s.next.Store(batches[len(batches)-1].NextOffset())
	s.size.Store(position)
	return nil, nil
}

// makeIndexes makes the files of the indexes, which are there for every segment
// that has a record, even before they have an entry: tools look for them.
func (s *segment) makeIndexes() error {
	for _, e := range []*entries{&s.index.entries, &s.times.entries} {
		if _, err := e.acquire(); err != nil {
			return err
		}
		e.release()
		e.rest()
	}
	return nil
}

// indexBatch notes the batch at position, and adds entries to the indexes where
// the last ones are far enough behind.
func (s *segment) indexBatch(b record.Batch, maxTimestamp, position int64, interval int) {
	last := b.LastOffset()
	if s.firstTimestamp < 0 {
		s.firstTimestamp = maxTimestamp
	}
	if b.Count() > 0 { // what compaction left of a batch without records has no time of its own
		s.times.note(timeEntry{timestamp: maxTimestamp, offset: last})
	}
	if s.unindexed > int64(interval) {
		s.index.append(last, position)
		s.times.mark()
		s.unindexed = 0
	}
	s.unindexed += int64(b.Size())
}

// seal completes a segment that will not be appended to again, and its indexes.
func (s *segment) seal() error {
	if err := s.unreserve(); err != nil {
		return err
	}
	s.times.mark()
	if err := s.times.store(); err != nil {
		return err
	}
	if err := s.txns.store(); err != nil {
		return err
	}
	return s.index.store()
}

// headersChunk is how much is read at once to walk over batch headers: three
// index intervals, so that what an index entry leads near to is found at once, and
// the end of a small answer too.
const headersChunk = 12 << 10

// window is a stretch of a segment's file, for walks over headers one after the other:
// what one has read the next need not read again. It is for one goroutine, and for
// as long as nothing below the walks' ends is cut off.
type window struct {
	buf   [headersChunk]byte
	bytes []byte // of the file, in buf
	at    int64  // their position
}

var windows = sync.Pool{New: func() any { return new(window) }}

func openWindow() *window { return windows.Get().(*window) }

func (w *window) close() {
	w.bytes = nil
	windows.Put(w)
}

// header returns the bytes of the header at a position, nil where they are not there.
func (w *window) header(at int64) record.Batch {
	if at < w.at || at+record.HeaderSize > w.at+int64(len(w.bytes)) {
		return nil
	}
	return record.Batch(w.bytes[at-w.at:][:record.HeaderSize])
}

// read reads from position at on, but not beyond to.
func (w *window) read(file disk.File, at, to int64) error {
	n, err := file.ReadAt(w.buf[:min(int64(len(w.buf)), to-at)], at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	w.at, w.bytes = at, w.buf[:n]
	return err
}

// errStop ends a walk early without an error.
var errStop = errors.New("stop")

// errGarbage says that a file does not hold a batch where one should begin.
var errGarbage = errors.New("no batch begins here")

// headers calls visit for each batch header from position from on, as far as
// the file is given to hold whole batches: to. The header is valid during the
// call; its batch's payload is not there.
func (s *segment) headers(from, to int64, visit func(header record.Batch, position int64) error) error {
	w := openWindow()
	defer w.close()
	return s.headersIn(w, from, to, visit)
}

// headersIn is headers by way of a window.
func (s *segment) headersIn(w *window, from, to int64, visit func(header record.Batch, position int64) error) error {
	file, err := s.records.acquire()
	if err != nil {
		return err
	}
	defer s.records.release()
	for at := from; at < to; {
		header := w.header(at)
		if header == nil {
			if err := w.read(file, at, to); err != nil {
				return fmt.Errorf("read %s at position %d: %w", s.records.name, at, err)
			}
			if header = w.header(at); header == nil {
				return fmt.Errorf("%s at position %d: %w: only %d bytes are left", s.records.name, at, errGarbage, len(w.bytes))
			}
		}
		if err := s.plausible(header, at, to); err != nil {
			return err
		}
		if err := visit(header, at); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
		at += int64(header.Size())
	}
	return nil
}

// plausible checks what a header says as far as a walk relies on it.
func (s *segment) plausible(header record.Batch, at, to int64) error {
	switch size := int64(header.Size()); {
	case header.Magic() != 2:
		return fmt.Errorf("%s at position %d: %w: its magic byte is %d", s.records.name, at, errGarbage, header.Magic())
	case size < record.HeaderSize || size > to-at:
		return fmt.Errorf("%s at position %d: %w: %d bytes long, %d are left", s.records.name, at, errGarbage, size, to-at)
	case header.BaseOffset() < s.base || header.LastOffsetDelta() < 0:
		return fmt.Errorf("%s at position %d: %w: offset %d", s.records.name, at, errGarbage, header.BaseOffset())
	}
	return nil
}

// locate returns the position of the batch that holds offset, or of the first
// after it, among the whole batches below position to. Where none follows, it
// returns to itself and found is false.
func (s *segment) locate(offset, to int64) (position int64, found bool, err error) {
	w := openWindow()
	defer w.close()
	return s.locateIn(w, offset, to)
}

// locateIn is locate by way of a window.
func (s *segment) locateIn(w *window, offset, to int64) (position int64, found bool, err error) {
	last, from, err := s.index.lookup(offset)
	if err != nil {
		return 0, false, err
	}
	position, found, err = s.scanFor(w, offset, last, min(from, to), to)
	if from > 0 && (from >= to || errors.Is(err, errGarbage)) {
		position, found, err = s.scanFor(w, offset, -1, 0, to) // the index is wrong, or the file is: the whole file tells
	}
	if errors.Is(err, errGarbage) && s.damage.any() {
		return s.scanPastDamage(offset, to)
	}
	return position, found, err
}

// scanFor is locate from where an index says that a batch begins whose last offset it
// names, from the file's start where that is -1. Where another batch stands there the
// index is wrong, and leads anywhere.
func (s *segment) scanFor(w *window, offset, last, from, to int64) (position int64, found bool, err error) {
	position = to
	err = s.headersIn(w, from, to, func(header record.Batch, at int64) error {
		switch end := header.LastOffset(); {
		case at == from && at > 0 && end != last && !breakage.Is(breakage.BelievedIndex):
			return fmt.Errorf("%s at position %d: %w: its index names offset %d", s.records.name, at, errGarbage, last)
		case end < offset:
			return nil
		}
		position, found = at, true
		return errStop
	})
	return position, found, err
}

// scanPastDamage is scanFor from the start of a file in which damage is known. Where
// the batch that holds offset may have lain in a damaged stretch, it returns where
// that begins.
func (s *segment) scanPastDamage(offset, to int64) (position int64, found bool, err error) {
	position = to
	end := int64(0) // of the sound batch before
	err = s.soundHeaders(0, to, func(header record.Batch, at int64) error {
		if header.LastOffset() >= offset {
			position, found = at, true
			if header.BaseOffset() > offset {
				position = end
			}
			return errStop
		}
		end = at + int64(header.Size())
		return nil
	})
	if err == nil && !found && s.damage.soundUntil(end, to) < to {
		return end, true, nil // the damage reaches to the end of what was to be read
	}
	return position, found, err
}

// wholeBatches returns the largest position, at most limit, at which a batch
// ends that begins at or after from. It is from where the first is too long.
func (s *segment) wholeBatches(w *window, from, limit, to int64) (int64, error) {
	if limit >= to {
		return to, nil
	}
	near, err := s.index.before(limit)
	if err != nil {
		return 0, err
	}
	end := max(from, near)
	whole := func(header record.Batch, at int64) error {
		if at+int64(header.Size()) > limit {
			return errStop
		}
		end = at + int64(header.Size())
		return nil
	}
	err = s.headersIn(w, end, to, whole)
	if near > from && errors.Is(err, errGarbage) {
		end = from // the index is wrong
		err = s.headersIn(w, end, to, whole)
	}
	return end, err
}

// loadFirstTimestamp returns the largest timestamp of the first batch, read from
// the file where this process did not write it; -1 where there is none.
func (s *segment) loadFirstTimestamp() int64 {
	if s.firstTimestamp < 0 {
		// A batch that cannot be read has no say in when the segment ends.
		_ = s.headers(0, s.size.Load(), func(header record.Batch, _ int64) error {
			s.firstTimestamp = header.MaxTimestamp()
			return errStop
		})
	}
	return s.firstTimestamp
}

// soundHeaders is headers for a file that may be damaged: it leaves out each
// stretch that is known to be.
func (s *segment) soundHeaders(from, to int64, visit func(header record.Batch, position int64) error) error {
	stopped := false
	stoppable := func(header record.Batch, position int64) error {
		err := visit(header, position)
		stopped = errors.Is(err, errStop)
		return err
	}
	for {
		until := s.damage.soundUntil(from, to)
		err := s.headers(from, until, stoppable)
		if stopped || err != nil && !errors.Is(err, errGarbage) {
			return err
		}
		next, known := s.damage.after(until)
		if !known || next >= to {
			return err
		}
		from = next
	}
}

// files are the names of all files of the segment, the records last: as long as
// those are there, the others are theirs.
func (s *segment) files() []string {
	var names []string
	for _, h := range s.handles() {
		names = append(names, h.name)
	}
	return names
}

// sweep closes files that nobody used for a while.
func (s *segment) sweep() {
	for _, h := range s.handles() {
		h.sweep()
	}
}

func (s *segment) retire() {
	for _, h := range s.handles() {
		h.retire()
	}
}

// batchEnd returns the position at which the batch at from ends.
func (s *segment) batchEnd(from, to int64) (end int64, err error) {
	err = s.headers(from, to, func(header record.Batch, at int64) error {
		end = at + int64(header.Size())
		return errStop
	})
	return end, err
}

// readBatch returns the whole batch at position of s in memory of its own, verified.
// What is wrong with it is noted.
func (l *Log) readBatch(s *segment, position, to int64) (record.Batch, error) {
	cuts := s.damage.asOf()
	batch, size, err := s.tryBatch(position, to)
	if errors.Is(err, kerr.CorruptMessage) {
		l.note(s, stretch{position, position + size}, cuts)
	}
	return batch, err
}

// tryBatch is readBatch, but notes nothing. size is the batch's.
func (s *segment) tryBatch(position, to int64) (batch record.Batch, size int64, err error) {
	end, err := s.batchEnd(position, to)
	if err != nil {
		return nil, 0, err
	}
	file, err := s.records.acquire()
	if err != nil {
		return nil, 0, err
	}
	defer s.records.release()
	size = end - position
	batch = make(record.Batch, size)
	if _, err := file.ReadAt(batch, position); err != nil && !errors.Is(err, io.EOF) {
		return nil, size, fmt.Errorf("read %s at position %d: %w", s.records.name, position, err)
	}
	if err := batch.Verify(); err != nil {
		return nil, size, fmt.Errorf("%s at position %d: %w: %w", s.records.name, position, err, kerr.CorruptMessage)
	}
	return batch, size, nil
}
