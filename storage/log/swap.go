package log

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klamm-io/klamm/protocol/record"
)

// A compacted segment takes the place of its originals in steps, so that a stop
// between any two leaves one or the other:
//
//  1. Its files are written and flushed; their names end in .cleaned.
//  2. They are renamed to end in .swap, the .log file last. From here on, it is
//     the segment that counts: a start that finds a .log.swap goes on with 3.
//  3. Readers are given it. The originals' files are renamed to end in .deleted,
//     the .log file of the one with the same base offset last of all.
//  4. The .swap files lose that ending, the .log file last.
//
// So where a .log.swap is there together with a .log of the same base offset, all
// files under their own names are of originals; where it is alone, those of its
// own base offset are its own. Folders are flushed between the steps.
//
// A start tells which originals there were by the offsets that the .log.swap
// holds. One whose records are all gone may then be beyond its end and is kept,
// which is what compaction in two steps would have left as well.

const (
	cleanedSuffix = ".cleaned"
	swapSuffix    = ".swap"
)

// replace puts a compacted segment, whose files are written and flushed, in the
// place of the originals, which are neighbours. The caller holds compactMu. After
// an error the log has its originals, or has failed.
func (l *Log) replace(originals []*segment, c *segment) error {
	if err := l.commitSwap(c); err != nil {
		return l.undoSwap(c, err)
	}
	fresh, err := l.publish(originals, c)
	if err != nil {
		return l.undoSwap(c, err)
	}
	defer fresh.releaseAll()
	if err := l.finishSwap(originals, fresh); err != nil {
		l.fail(err)
		return err
	}
	return nil
}

// commitSwap makes the compacted segment the one that counts after a stop.
func (l *Log) commitSwap(c *segment) error {
	return l.renameSegment(c, func(name string) (from, to string) {
		return name, strings.TrimSuffix(name, cleanedSuffix) + swapSuffix
	})
}

// renameSegment gives a segment's files other names, the records last and only
// once those of the others are durable. An index that is not there has its new
// name already, or was never made.
func (l *Log) renameSegment(s *segment, names func(name string) (from, to string)) error {
	for _, name := range s.files() {
		isRecords := name == s.records.name
		if isRecords {
			if err := l.syncFolder(); err != nil {
				return err
			}
		}
		from, to := names(name)
		if err := l.dir.fs.Rename(from, to); err != nil && (isRecords || !errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("rename %s: %w", from, err)
		}
	}
	return l.syncFolder()
}

func (l *Log) syncFolder() error {
	if err := l.dir.fs.SyncDir(l.path); err != nil {
		return fmt.Errorf("flush folder %s: %w", l.path, err)
	}
	return nil
}

// undoSwap removes what was written of a segment that did not take its place, and
// returns why it did not. Its files must not come back after a restart: by then
// the log may be another.
func (l *Log) undoSwap(c *segment, why error) error {
	c.retire()
	var err error
	for _, name := range c.files() {
		err = errors.Join(err, l.dir.remove(strings.TrimSuffix(name, cleanedSuffix)+swapSuffix), l.dir.remove(name))
	}
	if err == nil {
		err = l.dir.fs.SyncDir(l.path)
	}
	if err != nil && !l.closed.Load() {
		l.fail(fmt.Errorf("remove what is left of a compaction: %w", err))
	}
	return why
}

// publish gives readers the compacted segment in place of the originals. All its
// files are open, and stay so until the caller releases them: they are to get
// other names.
func (l *Log) publish(originals []*segment, c *segment) (*segment, error) {
	first, last := originals[0], originals[len(originals)-1]
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return nil, errAbandoned
	}
	fresh := c.underOwnName(l, last)
	segments := *l.segments.Load()
	at := segmentIndex(segments, first.base)
	replaced := append(append(segments[:at:at], fresh), segments[at+len(originals):]...)
	l.bookmarks.forget(first.base, last.base+1)
	l.segments.Store(&replaced)
	for _, s := range originals {
		s.retire()
	}
	return fresh, nil
}

// underOwnName returns the segment as it is called without an ending, which takes
// over its open files. It ends where the last of its originals does.
func (s *segment) underOwnName(l *Log, last *segment) *segment {
	fresh := newSegment(l.dir.fs, l.path, s.base)
	fresh.size.Store(s.size.Load())
	fresh.next.Store(last.next.Load())
	fresh.created, fresh.firstTimestamp, fresh.synced = last.created, s.firstTimestamp, s.synced
	fresh.times.newest, fresh.times.marked = s.times.newest, s.times.marked
	fresh.records.takeOver(&s.records)
	fresh.index.entries.takeOver(&s.index.entries)
	fresh.times.entries.takeOver(&s.times.entries)
	fresh.txns.entries.takeOver(&s.txns.entries)
	return fresh
}

func (s *segment) releaseAll() {
	for _, h := range s.handles() {
		h.release()
	}
}

// finishSwap lets the originals' files go and gives the compacted ones their
// names.
func (l *Log) finishSwap(originals []*segment, fresh *segment) error {
	due := time.Now().Add(l.Config().FileDeleteDelay)
	for i := len(originals) - 1; i >= 0; i-- {
		if err := l.doomSegment(originals[i], due); err != nil {
			return err
		}
		if i == 0 {
			continue
		}
		if err := l.dropSnapshot(originals[i].base); err != nil {
			return err
		}
	}
	return l.nameSwapped(fresh)
}

// dropSnapshot removes the producers' snapshot of a segment that is no more.
func (l *Log) dropSnapshot(base int64) error {
	l.mu.Lock()
	newest := l.snapshotAt
	l.mu.Unlock()
	if base == newest {
		return nil
	}
	return l.dir.remove(l.snapshotFile(base))
}

// nameSwapped takes the .swap from the names of a segment's files.
func (l *Log) nameSwapped(s *segment) error {
	if err := l.syncFolder(); err != nil {
		return err
	}
	return l.renameSegment(s, func(name string) (from, to string) { return name + swapSuffix, name })
}

// finishSwaps goes on with what a stop interrupted, when the log is opened. It
// reports whether there was anything.
func (l *Log) finishSwaps(entries []fs.DirEntry) (found bool, err error) {
	for _, entry := range entries {
		stem, swapped := strings.CutSuffix(entry.Name(), ".log"+swapSuffix)
		base, err := strconv.ParseInt(stem, 10, 64)
		if !swapped || err != nil || segmentName(base) != stem {
			continue
		}
		found = true
		if err := l.finishSwapAt(base, entries); err != nil {
			return true, fmt.Errorf("go on with a compaction that a stop interrupted: %w", err)
		}
	}
	return found, nil
}

func (l *Log) finishSwapAt(base int64, entries []fs.DirEntry) error {
	s := newSegment(l.dir.fs, l.path, base)
	next, err := l.endOfSwap(base)
	if err != nil {
		return err
	}
	l.logger.Info("going on with a compaction that a stop interrupted", "partition", l.String(), "from", base, "to", next)
	// Later originals first: that of the same base offset tells whether its indexes
	// are its own.
	for i := len(entries) - 1; i >= 0; i-- {
		stem, isLog := strings.CutSuffix(entries[i].Name(), ".log")
		if at, err := strconv.ParseInt(stem, 10, 64); isLog && err == nil && at >= base && (at == base || at < next) {
			if err := l.removeOriginal(newSegment(l.dir.fs, l.path, at)); err != nil {
				return err
			}
		}
	}
	return l.nameSwapped(s)
}

func (l *Log) removeOriginal(s *segment) error {
	for _, name := range s.files() {
		if err := l.dir.remove(name); err != nil {
			return err
		}
	}
	return nil
}

// endOfSwap returns the offset after the last batch of a .log.swap.
func (l *Log) endOfSwap(base int64) (next int64, err error) {
	s := newSegment(l.dir.fs, l.path, base)
	s.records.name += swapSuffix
	defer s.records.retire()
	info, err := l.dir.fs.Stat(s.records.name)
	if err != nil {
		return 0, err
	}
	next = base
	err = s.headers(0, info.Size(), func(header record.Batch, _ int64) error {
		next = header.NextOffset()
		return nil
	})
	if errors.Is(err, errGarbage) {
		// It was flushed before it got its name, so the disk has changed it since. What
		// it held is read as any damaged segment is.
		l.logger.Error("a compacted segment is damaged", "partition", l.String(), "err", err)
		err = nil
	}
	return next, err
}

// isLeftover reports whether a file is what a stop left of work that is begun
// anew, or of a deletion.
func isLeftover(name string) bool {
	switch filepath.Ext(name) {
	case ".deleted", cleanedSuffix, swapSuffix, ".tmp":
		return true
	}
	return false
}
