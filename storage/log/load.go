package log

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/klamm-io/klamm/protocol/record"
)

// found is what a log's folder holds.
type found struct {
	segments  []*segment // ascending
	sizes     map[string]int64
	snapshots []int64 // ascending
}

// list looks at the folder, and removes what a stop left half-done in it.
func (l *Log) list() (found, error) {
	f := found{sizes: map[string]int64{}}
	names, err := l.dir.fs.ReadDir(l.path)
	if err != nil {
		return f, fmt.Errorf("list %s: %w", l.path, err)
	}
	swapped, err := l.finishSwaps(names)
	if err != nil {
		return f, err
	}
	if swapped {
		if names, err = l.dir.fs.ReadDir(l.path); err != nil {
			return f, fmt.Errorf("list %s: %w", l.path, err)
		}
	}
	for _, entry := range names {
		name := entry.Name()
		if isLeftover(name) {
			if err := l.dir.fs.Remove(l.file(name)); err != nil {
				return f, fmt.Errorf("remove what a stop left: %w", err)
			}
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return f, fmt.Errorf("look at %s: %w", l.file(name), err)
		}
		f.sizes[name] = info.Size()
		f.note(l, name)
	}
	sort.Slice(f.segments, func(i, j int) bool { return f.segments[i].base < f.segments[j].base })
	sort.Slice(f.snapshots, func(i, j int) bool { return f.snapshots[i] < f.snapshots[j] })
	return f, nil
}

func (f *found) note(l *Log, name string) {
	stem, kind, _ := strings.Cut(name, ".")
	offset, err := strconv.ParseInt(stem, 10, 64)
	if err != nil || offset < 0 || segmentName(offset) != stem {
		return
	}
	switch kind {
	case "log":
		f.segments = append(f.segments, newSegment(l.dir.fs, l.path, offset))
	case "snapshot":
		f.snapshots = append(f.snapshots, offset)
	}
}

// load opens the log from its folder: clean says that it was closed in order,
// recoveryPoint up to where it is durable in any case, and start which records
// were deleted.
func (l *Log) load(clean bool, recoveryPoint, start int64, now time.Time) error {
	f, err := l.list()
	if err != nil {
		return err
	}
	if len(f.segments) == 0 {
		f.segments = []*segment{newSegment(l.dir.fs, l.path, max(start, 0))}
	}
	l.namesChanged = true // a process that was killed may have left names that are not on the disk
	if f.segments, err = l.loadSegments(f, clean, recoveryPoint); err != nil {
		return err
	}
	for _, s := range f.segments {
		l.addSegment(s, now)
	}
	last := f.segments[len(f.segments)-1]
	end := last.next.Load()
	l.start.Store(min(max(start, f.segments[0].base), end))
	l.end.Store(end)
	l.flushed.Store(end)
	l.bookmarks.setEnd(bookmark{offset: end, base: last.base, position: last.size.Load()})
	l.bookmarks.setFlushed(l.bookmarks.getEnd())
	if end < recoveryPoint {
		l.logger.Error("records that were durable are gone: the log ends before them", "partition", l.String(), "path", l.path, "end", end, "durable", recoveryPoint)
	}
	if clean {
		recoveryPoint = end
	}
	l.recoveryPoint = min(recoveryPoint, end)
	if !clean && end > l.recoveryPoint {
		if err := l.syncNames(); err != nil {
			return err
		}
	}
	l.recallDamage(f) // first: what is read below goes past it
	if err := l.loadEpochs(l.recoveryPoint); err != nil {
		return err
	}
	return l.loadProducers(f, now)
}

// loadSegments brings each segment into the state in which appends left it, and
// returns those that belong to the log.
func (l *Log) loadSegments(f found, clean bool, recoveryPoint int64) ([]*segment, error) {
	for _, s := range f.segments { // what follows a segment has a say in how it is recovered
		s.size.Store(f.sizes[segmentName(s.base)+".log"])
	}
	for i, s := range f.segments {
		size := s.size.Load()
		sound := s.loadIndexes(f.sizes)
		nextBase := int64(math.MaxInt64)
		if i+1 < len(f.segments) {
			nextBase = f.segments[i+1].base
		}
		switch {
		case clean && i+1 == len(f.segments):
			if err := l.loadActive(s, size, sound); err != nil {
				return nil, err
			}
		case clean || nextBase < recoveryPoint: // at the recovery point itself its indexes may have been completed later
			s.next.Store(nextBase)
			s.synced = size
			if !sound {
				if err := l.rebuildIndexes(s); err != nil {
					return nil, err
				}
			}
		default:
			cut, err := l.recoverSegment(s, size, sound, recoveryPoint, f.segments[i+1:])
			if err != nil {
				return nil, err
			}
			if cut && i+1 < len(f.segments) {
				return f.segments[:i+1], l.dropUnflushed(f.segments[i+1:])
			}
		}
	}
	return f.segments, nil
}

// loadIndexes takes over the index files, and reports whether they can be right.
func (s *segment) loadIndexes(sizes map[string]int64) bool {
	if s.size.Load() == 0 {
		return sizes[filepath.Base(s.index.entries.name)] == 0 && sizes[filepath.Base(s.times.entries.name)] == 0
	}
	s.unproven.Store(true)
	index, haveIndex := sizes[filepath.Base(s.index.entries.name)]
	times, haveTimes := sizes[filepath.Base(s.times.entries.name)]
	return haveIndex && haveTimes && s.index.load(index) == nil && s.times.load(times) == nil
}

// loadActive finds the end of the active segment of a log that was closed in
// order: what follows the last index entry is little.
func (l *Log) loadActive(s *segment, size int64, indexed bool) error {
	if !indexed {
		// Without its index nothing proves that the segment ends where a batch does, and appends need that.
		l.logger.Warn("the indexes of a segment are missing or of a wrong size; reading it whole", "partition", l.String(), "file", s.records.name)
		_, err := l.recoverSegment(s, size, false, s.base, nil)
		return err
	}
	last, err := s.index.last()
	if err == nil && last < size {
		s.unindexed = size - last
		err = s.headers(last, size, func(header record.Batch, _ int64) error {
			s.next.Store(header.NextOffset())
			if header.Count() > 0 {
				s.times.note(timeEntry{timestamp: header.MaxTimestamp(), offset: header.LastOffset()})
			}
			return nil
		})
	}
	if err == nil && (last < size || size == 0) {
		s.synced = size
		return nil
	}
	l.logger.Warn("the end of a cleanly closed segment is not what its index says; reading it whole",
		"partition", l.String(), "file", s.records.name, "err", err)
	_, err = l.recoverSegment(s, size, false, s.base, nil)
	return err
}

// rebuildIndexes makes the indexes anew by reading the whole segment.
func (l *Log) rebuildIndexes(s *segment) error {
	if s.size.Load() > 0 {
		l.logger.Warn("rebuilding the indexes of a segment: they are missing or of a wrong size", "partition", l.String(), "file", s.records.name)
	}
	next := s.next.Load()
	if err := s.clearIndexes(); err != nil {
		return err
	}
	size := s.size.Load()
	interval := l.Config().IndexIntervalBytes
	err := s.headers(0, size, func(header record.Batch, at int64) error {
		s.indexBatch(header, header.MaxTimestamp(), at, interval)
		next = max(next, header.NextOffset())
		return nil
	})
	if err != nil {
		// Only a scrub or a read that meets the damage can tell how far it goes.
		l.logger.Error("a segment is damaged; what follows has no index", "partition", l.String(), "err", err)
	}
	s.next.Store(next)
	s.synced = size
	if err := s.seal(); err != nil {
		return err
	}
	return errors.Join(s.index.sync(), s.times.sync()) // no checkpoint comes back to them
}

// clearIndexes empties both index files.
func (s *segment) clearIndexes() error {
	s.unindexed = 0
	for _, e := range []*entries{&s.index.entries, &s.times.entries} {
		file, err := e.acquire()
		if err != nil {
			return err
		}
		err = file.Truncate(0)
		e.release()
		if err != nil {
			return fmt.Errorf("truncate %s: %w", e.name, err)
		}
	}
	if err := s.index.load(0); err != nil {
		return err
	}
	return s.times.load(0)
}
