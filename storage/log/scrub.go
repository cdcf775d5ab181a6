package log

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// scrub reads everything that is flushed again and again, at a bounded rate, and
// verifies it, until ctx ends.
func (d *Dir) scrub(ctx context.Context) {
	if d.config.ScrubBytesPerSecond <= 0 {
		return
	}
	for {
		began := time.Now()
		if d.scrubOnce(ctx) != nil || pause(ctx, max(upkeepTick, d.config.ScrubInterval-time.Since(began))) != nil {
			return // ctx ended
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// scrubOnce verifies every log once.
func (d *Dir) scrubOnce(ctx context.Context) error {
	for _, l := range d.Logs() {
		if err := l.scrub(ctx); err != nil {
			return err
		}
	}
	return nil
}

// scrub verifies a log once. Its error is ctx's.
func (l *Log) scrub(ctx context.Context) error {
	a := l.newAudit()
	for _, s := range *l.segments.Load() {
		if err := l.scrubSegment(ctx, s, a); err != nil {
			return err
		}
	}
	if err := a.finish(); err != nil {
		l.logger.Error("the leader epochs that the batches tell could not be written down", "partition", l.String(), "err", err)
	}
	l.rememberDamage() // a segment that had it may be gone
	return nil
}

// scrubSegment verifies what is flushed of a segment, and its indexes by that. Its
// error is ctx's.
func (l *Log) scrubSegment(ctx context.Context, s *segment, a *audit) error {
	cuts := s.damage.asOf() // first, so that to is a place in the file as it is then or later
	flushed := l.Flushed()
	to, err := l.endPosition(s, flushed)
	if err != nil || to == 0 {
		if err != nil {
			a.missed() // what cannot even be located is found by readers
		}
		return nil
	}
	file, err := s.records.acquire()
	if err != nil {
		a.missed()
		return nil // deleted meanwhile
	}
	defer s.records.release()
	a.begin(s, to)
	scan := l.segmentScanner(s, file, to)
	if err := l.verify(ctx, s, scan, cuts, l.dir.config.ScrubBytesPerSecond, a.batch); err != nil {
		return err
	}
	if err := a.end(scan, flushed); err != nil && !errors.Is(err, errRetired) {
		l.logger.Error("an index could not be made anew", "partition", l.String(), "file", s.records.name, "err", err)
	}
	return nil
}

func (l *Log) segmentScanner(s *segment, file disk.File, to int64) *scanner {
	scan := newScanner(file, 0, to, s.base)
	scan.sparse, scan.limit = l.Config().Compact, s.next.Load()
	return scan
}

// verifySegment verifies a segment up to position to, at most at so many bytes a
// second, 0 for as fast as it goes, and notes what damage it finds; but what it
// finds after the file was cut more than cuts times is none. Its error is ctx's.
func (l *Log) verifySegment(ctx context.Context, s *segment, to int64, cuts int, rate int64) error {
	file, err := s.records.acquire()
	if err != nil {
		return nil // deleted meanwhile
	}
	defer s.records.release()
	return l.verify(ctx, s, l.segmentScanner(s, file, to), cuts, rate, func(record.Batch, int64) {})
}

// Examine reads what a slice names from the disk once more, verifies it, and notes
// what is damaged, for who has found that it is.
func (l *Log) Examine(slice Slice) {
	s, cuts := slice.segment, slice.segment.damage.asOf()
	to := slice.Off + int64(slice.Len)
	scan := newScanner(slice.File, slice.Off, to, s.base)
	scan.sparse, scan.limit = true, s.next.Load()                                      // where in the segment it begins is not known by its offset
	_ = l.verify(context.Background(), s, scan, cuts, 0, func(record.Batch, int64) {}) // it has no error but that of its context
}

// verify does what [Log.verifySegment] says with a scanner, and calls each for every
// sound batch and its position.
func (l *Log) verify(ctx context.Context, s *segment, scan *scanner, cuts int, rate int64, each func(record.Batch, int64)) error {
	for paid := scan.at; ; {
		batch, err := scan.next()
		if err == nil {
			each(batch, scan.at-int64(batch.Size()))
		}
		if errors.Is(err, errEnd) {
			l.noteEnd(s, scan, cuts)
			return nil
		}
		if err != nil && !l.noteDamage(s, scan, cuts, err) {
			return nil
		}
		if read := scan.at - paid; rate > 0 && read >= rate/10 {
			paid = scan.at
			if err := pause(ctx, time.Duration(float64(read)/float64(rate)*float64(time.Second))); err != nil {
				return err
			}
		}
	}
}

// noteEnd notes where a segment was read to its end, and that comes before the offset
// at which the next begins, though nothing was compacted away.
func (l *Log) noteEnd(s *segment, scan *scanner, cuts int) {
	if scan.sparse || scan.to != s.size.Load() || scan.expect >= s.next.Load() || s == l.active() || !s.damage.shorten(cuts) {
		return
	}
	l.suspect.Store(true)
	l.dir.observe.Damaged(l.TopicPartition)
	l.logger.Error("a segment has lost its end; readers of these records are answered with CORRUPT_MESSAGE",
		"partition", l.String(), "file", s.records.name, "position", scan.to, "from", scan.expect, "to", s.next.Load())
	l.rememberDamage()
}

// noteDamage notes what is wrong at the scanner's position and moves it past
// that. It reports whether there is anything left to look at.
func (l *Log) noteDamage(s *segment, scan *scanner, cuts int, why error) bool {
	if isDiskError(why) {
		l.logger.Error("a segment cannot be read", "partition", l.String(), "file", s.records.name, "position", scan.at, "err", why)
		return false
	}
	from := scan.at
	if !scan.resume() {
		scan.at = scan.to
	}
	if l.note(s, stretch{from: from, to: scan.at}, cuts) {
		l.dir.observe.Damaged(l.TopicPartition)
		l.logger.Error("a segment is damaged; readers of these records are answered with CORRUPT_MESSAGE",
			"partition", l.String(), "file", s.records.name, "position", from, "bytes", scan.at-from, "err", fmt.Errorf("verify: %w", why))
		l.rememberDamage()
	}
	return scan.at < scan.to && cuts == s.damage.asOf()
}
