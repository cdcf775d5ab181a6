package log

import (
	"context"
	"errors"
	"fmt"
	"time"
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
		for _, s := range *l.segments.Load() {
			if err := l.scrubSegment(ctx, s); err != nil {
				return err
			}
		}
		l.rememberDamage() // a segment that had it may be gone
	}
	return nil
}

// scrubSegment verifies what is flushed of a segment. Its error is ctx's.
func (l *Log) scrubSegment(ctx context.Context, s *segment) error {
	cuts := s.damage.asOf() // first, so that to is a place in the file as it is then or later
	if to, err := l.endPosition(s, l.Flushed()); err == nil && to > 0 {
		return l.verifySegment(ctx, s, to, cuts, l.dir.config.ScrubBytesPerSecond)
	}
	return nil // what cannot even be located is found by readers
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
	scan := newScanner(file, 0, to, s.base)
	scan.sparse = l.Config().Compact
	return l.verify(ctx, s, scan, to, cuts, rate)
}

// Examine reads what a slice names from the disk once more, verifies it, and notes
// what is damaged, for who has found that it is.
func (l *Log) Examine(slice Slice) {
	s, cuts := slice.segment, slice.segment.damage.asOf()
	to := slice.Off + int64(slice.Len)
	scan := newScanner(slice.File, slice.Off, to, s.base)
	scan.sparse = true                                       // where in the segment it begins is not known by its offset
	_ = l.verify(context.Background(), s, scan, to, cuts, 0) // it has no error but that of its context
}

// verify does what [Log.verifySegment] says from where a scanner is on.
func (l *Log) verify(ctx context.Context, s *segment, scan *scanner, to int64, cuts int, rate int64) error {
	for paid := scan.at; ; {
		_, err := scan.next()
		if errors.Is(err, errEnd) {
			return nil
		}
		if err != nil && !l.noteDamage(s, scan, to, cuts, err) {
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

// noteDamage notes what is wrong at the scanner's position and moves it past
// that. It reports whether there is anything left to look at.
func (l *Log) noteDamage(s *segment, scan *scanner, to int64, cuts int, why error) bool {
	if isDiskError(why) {
		l.logger.Error("a segment cannot be read", "partition", l.String(), "file", s.records.name, "position", scan.at, "err", why)
		return false
	}
	from := scan.at
	if !scan.resume() {
		scan.at = to
	}
	if l.note(s, stretch{from: from, to: scan.at}, cuts) {
		l.dir.observe.Damaged(l.TopicPartition)
		l.logger.Error("a segment is damaged; readers of these records are answered with CORRUPT_MESSAGE",
			"partition", l.String(), "file", s.records.name, "position", from, "bytes", scan.at-from, "err", fmt.Errorf("verify: %w", why))
		l.rememberDamage()
	}
	return scan.at < to && cuts == s.damage.asOf()
}
