package log

import (
	"errors"
	"fmt"

	"github.com/klamm-io/klamm/protocol/record"
)

// Recovery after an unclean stop. What lies below the recovery point was made
// durable, indexes included, before that point was written down: it is not read,
// but for the end of the segment that the point lies in or at, whose indexes grew
// since. What lies above may be whole, or torn, and is read and verified batch by batch.
//
// A batch that fails there is one of two things. Either it is the torn end of
// what was being written when the machine stopped: a piece is missing, or blocks
// of it read as zeros because they never reached the disk. Then it and all that
// follows was never acknowledged, since a flush would have made it whole, and it
// is cut off. Or sound batches follow and nothing is missing, or a sound segment
// follows, which was begun when all before it was on the disk: then the disk
// changed what it kept. Cutting there would lose what others were promised, so
// the damage is noted, its readers are told, and all that follows stays.

// recoverSegment verifies s from the recovery point on. cut says that the log
// ends here, whatever segments follow. The log is not in use yet.
func (l *Log) recoverSegment(s *segment, size int64, indexed bool, recoveryPoint int64, later []*segment) (cut bool, err error) {
	if size == 0 && indexed {
		return false, nil
	}
	from := l.recoveryStart(s, size, indexed, recoveryPoint)
	err = s.resetTo(from)
	if errors.Is(err, errGarbage) {
		// The index is wrong, or the file is: reading it whole tells.
		from, err = 0, s.resetTo(0)
	}
	if err != nil {
		return false, err
	}
	file, err := s.records.acquire()
	if err != nil {
		return false, err
	}
	defer s.records.release()
	scan := newScanner(file, from, size, s.next.Load())
	scan.sparse = l.Config().Compact
	if len(later) > 0 {
		scan.limit = later[0].base
	}
	for {
		batch, err := scan.next()
		if err == nil {
			s.indexBatch(batch, batch.MaxTimestamp(), scan.at-int64(batch.Size()), l.Config().IndexIntervalBytes)
			s.next.Store(batch.NextOffset())
			continue
		}
		if errors.Is(err, errEnd) {
			break
		}
		if isDiskError(err) {
			return false, fmt.Errorf("read %s at position %d: %w", s.records.name, scan.at, err)
		}
		goOn := l.passDamage(s, scan, size, recoveryPoint, later, err)
		if !goOn {
			cut = scan.at < size
			break
		}
	}
	cut = cut || l.followedByNothing(s, later, recoveryPoint)
	if !cut && !scan.sparse && len(later) > 0 && s.next.Load() < later[0].base && l.Config().FlushOnAck {
		// The next was begun when all before it was on the disk.
		s.next.Store(later[0].base)
		s.damage.shorten(s.damage.asOf())
		l.suspect.Store(true)
	}
	return cut, l.endRecovered(s, scan.at, size, recoveryPoint, len(later) == 0 || cut)
}

// followedByNothing reports whether s lost its end where a batch does, and only
// names of later segments reached the disk: the log ends with s. An empty segment
// at the recovery point or below was there before, and says where the log ends.
func (l *Log) followedByNothing(s *segment, later []*segment, recoveryPoint int64) bool {
	return len(later) > 0 && later[0].base > max(recoveryPoint, s.next.Load()) && !anySound(later)
}

// isDiskError reports whether err says that the file cannot be read, rather than
// that what it holds is wrong.
func isDiskError(err error) bool {
	for _, known := range []error{errGarbage, record.ErrShort, record.ErrMagic, record.ErrLength, record.ErrChecksum} {
		if errors.Is(err, known) {
			return false
		}
	}
	return true
}

// recoveryStart returns the position at which verification begins: the last batch
// below the recovery point that has an index entry, or the file's start. Entries
// above that point prove nothing: one may have reached the disk, and what lies
// before its batch may not have.
func (l *Log) recoveryStart(s *segment, size int64, indexed bool, recoveryPoint int64) int64 {
	if !indexed || recoveryPoint <= s.base {
		return 0
	}
	_, position, err := s.index.lookup(recoveryPoint - 1)
	if err != nil || position >= size {
		return 0
	}
	return position
}

// resetTo forgets what is known of s from position from on.
func (s *segment) resetTo(from int64) error {
	next := s.base
	if from == 0 {
		s.next.Store(next)
		return s.clearIndexes()
	}
	err := s.headers(from, s.size.Load(), func(header record.Batch, _ int64) error {
		next = header.BaseOffset()
		return errStop
	})
	if err != nil {
		return err
	}
	if err := s.index.cutFrom(from); err != nil {
		return err
	}
	if err := s.times.cutFrom(next); err != nil {
		return err
	}
	last, err := s.index.last()
	s.unindexed = from - last
	s.next.Store(next)
	return err
}

// passDamage decides what a batch that fails at the scanner's position is. It
// reports whether the scan goes on, beyond damage, or ends there.
func (l *Log) passDamage(s *segment, scan *scanner, size, recoveryPoint int64, later []*segment, why error) bool {
	at, followed := scan.at, anySound(later)
	if s.next.Load() >= recoveryPoint && !followed && scan.nothingFollows() {
		l.logger.Debug("giving back what was reserved", "partition", l.String(), "file", s.records.name, "position", at, "bytes", size-at)
		return false
	}
	resumed := scan.resume()
	until := size
	if resumed {
		until = scan.at
	}
	scan.at = at
	durable := s.next.Load() < recoveryPoint || followed && l.Config().FlushOnAck // once
	kept := (resumed || followed) && (durable || !scan.torn(at, until))
	if !kept {
		l.logger.Warn("cutting off a torn end that was never acknowledged",
			"partition", l.String(), "file", s.records.name, "position", at, "bytes", size-at, "offset", s.next.Load(), "err", why)
		return false
	}
	l.logger.Error("a stretch of a segment is damaged; its records are lost, what follows is kept",
		"partition", l.String(), "file", s.records.name, "position", at, "bytes", until-at, "offset", s.next.Load(), "err", why)
	l.note(s, stretch{from: at, to: until}, s.damage.asOf())
	l.dir.observe.Damaged(l.TopicPartition)
	s.unindexed = int64(l.Config().IndexIntervalBytes) + 1 // an entry right behind the damage leads readers past it
	scan.at = until
	return true
}

// anySound reports whether one of the segments begins with a sound batch.
func anySound(segments []*segment) bool {
	for _, s := range segments {
		if _, _, err := s.tryBatch(0, s.size.Load()); err == nil {
			return true
		}
	}
	return false
}

// endRecovered makes what was kept of a segment durable, so that a second stop
// finds no less.
func (l *Log) endRecovered(s *segment, kept, size, recoveryPoint int64, active bool) error {
	file, err := s.records.acquire()
	if err != nil {
		return err
	}
	defer s.records.release()
	if kept < size {
		if err := file.Truncate(kept); err != nil {
			return fmt.Errorf("truncate %s to %d bytes: %w", s.records.name, kept, err)
		}
	}
	s.size.Store(kept)
	if kept < size || s.next.Load() > recoveryPoint {
		if err := file.Sync(); err != nil {
			return fmt.Errorf("flush %s: %w", s.records.name, err)
		}
	}
	s.synced = kept
	if active {
		return nil
	}
	return s.seal()
}

// dropUnflushed removes segments that follow a torn end: nothing in them can
// have been acknowledged.
func (l *Log) dropUnflushed(segments []*segment) error {
	for _, s := range segments {
		l.logger.Warn("removing a segment that follows a torn end", "partition", l.String(), "file", s.records.name, "bytes", s.size.Load())
		s.retire()
		for _, name := range s.files() {
			if err := l.dir.remove(name); err != nil {
				return err
			}
		}
	}
	// Else a second stop could bring them back, in the way of what was appended since.
	if err := l.dir.fs.SyncDir(l.path); err != nil {
		return fmt.Errorf("flush folder %s: %w", l.path, err)
	}
	return nil
}
