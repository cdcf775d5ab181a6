package log

import (
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/klamm-io/klamm/internal/breakage"
)

// Group commit: whoever appends asks for a flush. If one is under way, it goes
// on as soon as that has ended, and then covers all that was appended meanwhile
// with one fdatasync. So the slower the disk, the more each flush carries. The
// Dir bounds how many logs flush at the same time.
//
// Before a flush begins it steps aside for goroutines that are ready to run. On a
// machine that is idle there are none, and nothing waits; on one that is busy they
// are those of other requests, whose records it then carries too. So the busier the
// machine, too, the more each flush carries.

// requestFlush lets everything appended so far be flushed, without waiting.
func (l *Log) requestFlush() {
	if l.Flushed() >= l.End() || !l.flushing.CompareAndSwap(false, true) {
		return
	}
	if !l.dir.begin() {
		l.flushing.Store(false)
		return // the folder is being closed, which flushes all
	}
	go l.flushAll()
}

// flushAll flushes until nothing is left. It runs on a goroutine of its own.
func (l *Log) flushAll() {
	defer l.dir.end()
	for {
		l.gather()
		l.dir.flushes <- struct{}{}
		err := l.flushOnce()
		<-l.dir.flushes
		if err != nil {
			l.flushing.Store(false)
			return
		}
		if l.Flushed() < l.End() {
			continue
		}
		l.flushing.Store(false)
		// An append may have come between the look and the store, and have seen a
		// flush under way that was none any more.
		if l.Flushed() >= l.End() || !l.flushing.CompareAndSwap(false, true) {
			return
		}
	}
}

// gatheredMost bounds how often a flush steps aside.
const gatheredMost = 4

// gather lets others run for as long as that brings records. A flush that is large
// already gains nothing by it, and the disk would be idle meanwhile.
func (l *Log) gather() {
	for range gatheredMost {
		if bytes := l.bookmarks.unflushed(); bytes < 0 || bytes >= smallFlush {
			return
		}
		end := l.End()
		runtime.Gosched()
		if l.End() == end {
			return
		}
	}
}

// pending is what one flush has to make durable.
type pending struct {
	end      bookmark
	segments []*segment
	sizes    []int64
	names    bool
}

// flushOnce makes everything durable that was appended before it was called. An
// error takes the log out of use: after a failed flush nobody knows which pages
// reached the disk, and asking again would only say what the kernel forgot.
func (l *Log) flushOnce() error {
	if err := l.Failed(); err != nil {
		return err
	}
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	if l.End() <= l.Flushed() {
		return nil // and what is pending besides is left to the next flush
	}
	p := l.pending()
	began := time.Now()
	if began.Sub(time.UnixMilli(l.lastFlush.Load())) >= stillness {
		for _, s := range p.segments {
			s.flushes.Store(0) // few and far between
		}
	}
	if err := l.syncPending(p); err != nil {
		l.fail(err)
		return err
	}
	l.dir.observe.Flushed(time.Since(began))
	l.lastFlush.Store(time.Now().UnixMilli())
	l.flushed.Store(p.end.offset)
	l.bookmarks.setFlushed(p.end)
	// Whatever the configuration says by now: a produce may have been told to wait
	// for this flush before it changed.
	if l.onCommitted != nil {
		l.onCommitted(p.end.offset)
	}
	return nil
}

// pending takes note of the end and of what lies between it and Flushed.
func (l *Log) pending() pending {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := pending{end: l.bookmarks.getEnd(), names: l.namesChanged}
	l.namesChanged = false
	segments := *l.segments.Load()
	for _, s := range segments[max(0, segmentIndex(segments, l.Flushed())):] {
		p.segments = append(p.segments, s)
		p.sizes = append(p.sizes, s.size.Load())
	}
	return p
}

func (l *Log) syncPending(p pending) error {
	if breakage.Is(breakage.NoFlush) {
		return nil
	}
	for i, s := range p.segments {
		if err := s.sync(p.sizes[i]); err != nil {
			return err
		}
	}
	if !p.names {
		return nil
	}
	return l.syncNames()
}

// syncNames makes the names of the log's files and folder durable, and whose it is.
func (l *Log) syncNames() error {
	if err := syncPartitionMetadata(l.dir.fs, l.file(partitionMetadataFile)); err != nil {
		return err
	}
	for _, folder := range []string{l.path, filepath.Dir(l.path)} {
		if err := l.dir.fs.SyncDir(folder); err != nil {
			return fmt.Errorf("flush folder %s: %w", folder, err)
		}
	}
	return nil
}

// sync makes the first size bytes of the records durable.
func (s *segment) sync(size int64) error {
	if s.synced >= size {
		return nil
	}
	if err := s.syncRecords(); err != nil {
		return err
	}
	s.synced = size
	s.flushes.Add(1)
	return nil
}

// syncRecords makes all durable that the records' file holds.
func (s *segment) syncRecords() error {
	file, err := s.records.acquire()
	if err != nil {
		return err
	}
	defer s.records.release()
	if err := file.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", s.records.name, err)
	}
	return nil
}
