package log

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/retain"
)

// upkeepTick is how often the folder looks for small work that is due.
const upkeepTick = time.Second

// unverifiedMost is how many bytes a log may grow beyond its recovery point
// before a checkpoint is made out of turn: it bounds what a recovery reads.
const unverifiedMost = 256 << 20

// Run does the folder's periodic work until ctx ends.
func (d *Dir) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return every(ctx, upkeepTick, d.tick) })
	g.Go(func() error { return every(ctx, d.config.CheckpointInterval, d.sweepAndCheckpoint) })
	g.Go(func() error { return every(ctx, d.config.RetentionInterval, d.retain) })
	g.Go(func() error { d.scrub(ctx); return nil })
	g.Go(func() error { return d.checkpointOnDemand(ctx) })
	return g.Wait()
}

// every calls do each time the interval has passed, until ctx ends. An interval
// of zero never passes.
func every(ctx context.Context, interval time.Duration, do func(now time.Time)) error {
	if interval <= 0 {
		return nil
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			do(now)
		}
	}
}

func (d *Dir) tick(now time.Time) {
	d.removeDoomed(now)
	d.giveBackZeros(now)
	for _, l := range d.Logs() {
		c := l.config.Load()
		if !c.FlushOnAck && c.FlushInterval > 0 && now.UnixMilli()-l.lastFlush.Load() >= c.FlushInterval.Milliseconds() {
			l.requestFlush()
		}
		if l.unverified.Load() > unverifiedMost {
			d.checkpointSoon()
		}
	}
}

// checkpointSoon asks for a checkpoint out of turn, without waiting for it.
func (d *Dir) checkpointSoon() {
	select {
	case d.checkpoint <- struct{}{}:
	default:
	}
}

func (d *Dir) checkpointOnDemand(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.checkpoint:
			d.report(d.Checkpoint())
		}
	}
}

func (d *Dir) sweepAndCheckpoint(time.Time) {
	d.report(d.Checkpoint())
	for _, l := range d.Logs() {
		for _, s := range *l.segments.Load() {
			s.sweep()
		}
	}
}

func (d *Dir) report(err error) {
	if err != nil {
		d.logger.Error("a checkpoint failed; the last one stays, so a recovery would read more", "path", d.path, "err", err)
	}
}

// Checkpoint makes everything durable that was appended so far, and writes down
// up to where, so that a recovery need not look at it.
func (d *Dir) Checkpoint() error {
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	var failed error
	logs := d.Logs()
	for _, l := range logs {
		if err := l.advanceRecoveryPoint(); err != nil && !l.deleted.Load() {
			failed = errors.Join(failed, fmt.Errorf("checkpoint %s: %w", l, err))
		}
	}
	return errors.Join(failed, d.writeCheckpoints(logs))
}

func (d *Dir) writeCheckpoints(logs []*Log) error {
	d.mu.Lock()
	points, starts := offsetCheckpoint{}, offsetCheckpoint{}
	for tp, offset := range d.recoveryPoints {
		points[tp] = offset // of logs that are not open, or could not be opened
	}
	for tp, offset := range d.starts {
		starts[tp] = offset
	}
	outlived := maps.Clone(d.outlived)
	d.mu.Unlock()
	for _, l := range logs {
		if l.deleted.Load() {
			continue
		}
		points[l.TopicPartition] = l.recoveryPoint
		if start := l.Start(); start > (*l.segments.Load())[0].base {
			starts[l.TopicPartition] = start
		}
	}
	if err := writeOffsetCheckpoint(d.fs, d.file(recoveryPointFile), points); err != nil {
		return err
	}
	if err := writeOffsetCheckpoint(d.fs, d.file(logStartFile), starts); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for tp := range outlived {
		delete(d.outlived, tp)
	}
	return nil
}

// advanceRecoveryPoint makes the log durable up to its end, its indexes and the
// state of its producers too, and moves the recovery point there. The caller
// holds the Dir's checkpointMu.
func (l *Log) advanceRecoveryPoint() error {
	if l.failed.Load() != nil || l.End() == l.recoveryPoint {
		return nil
	}
	snapshot, err := l.snapshotProducers()
	if err != nil {
		return err
	}
	l.dir.flushes <- struct{}{}
	err = l.flushOnce()
	<-l.dir.flushes
	if err != nil {
		return err
	}
	segments := *l.segments.Load()
	// From the segment on that ended at the last recovery point: its indexes were
	// completed when the next began.
	for _, s := range segments[max(0, segmentIndex(segments, l.recoveryPoint-1)):] {
		if err := errors.Join(s.index.sync(), s.times.sync(), s.txns.sync()); err != nil && !errors.Is(err, errRetired) {
			return err
		}
	}
	if err := l.storeSnapshot(snapshot); err != nil {
		return err
	}
	l.recoveryPoint = snapshot.end
	l.unverified.Store(0)
	return nil
}

// retain applies retention to every log, and forgets producers that were silent
// for too long.
func (d *Dir) retain(now time.Time) {
	for _, l := range d.Logs() {
		l.expireProducers(now)
		if err := l.applyRetention(now); err != nil {
			d.logger.Error("retention failed; it is tried again", "partition", l.String(), "err", err)
		}
	}
}

// applyRetention deletes the segments that the configuration no longer keeps. A
// log that is being compacted waits for the next time.
func (l *Log) applyRetention(now time.Time) error {
	if !l.compactMu.TryLock() {
		return nil
	}
	defer l.compactMu.Unlock()
	if err := l.proveTimes(now); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() || l.Failed() != nil {
		return nil
	}
	decision := l.decideRetention(now)
	if decision.Delete == 0 {
		return nil
	}
	if decision.Roll {
		if _, err := l.roll(now); err != nil {
			return err
		}
	}
	l.logger.Info("deleting segments", "partition", l.String(), "segments", decision.Delete, "why", decision.Reason)
	return l.deleteOldest(decision.Delete, now)
}

// proveTimes reads from the records themselves how old those are that are to go: a bit
// that turned over in an index must not make them older. The caller holds compactMu.
func (l *Log) proveTimes(now time.Time) error {
	l.mu.Lock()
	segments, decision := *l.segments.Load(), l.decideRetention(now)
	l.mu.Unlock()
	for _, s := range segments[:min(decision.Delete, len(segments))] {
		if !s.unproven.Load() {
			continue
		}
		err := s.soundHeaders(0, s.size.Load(), func(header record.Batch, _ int64) error {
			if header.Count() > 0 {
				s.times.note(timeEntry{timestamp: header.MaxTimestamp(), offset: header.LastOffset()})
			}
			return nil
		})
		if err != nil && !errors.Is(err, errGarbage) && !errors.Is(err, errRetired) {
			return fmt.Errorf("read how old the records of %s are: %w", s.records.name, err)
		}
	}
	return nil
}

func (l *Log) decideRetention(now time.Time) retain.Decision {
	c := l.config.Load()
	policy := retain.Policy{RetentionMs: -1, RetentionBytes: -1}
	if c.Delete {
		policy = retain.Policy{RetentionMs: c.RetentionMs, RetentionBytes: c.RetentionBytes}
	}
	return retain.Decide(policy, l.describe(), l.Start(), l.highWatermark.Load(), now.UnixMilli())
}

// describe tells of each segment what decisions on its retention need. The
// caller holds mu.
func (l *Log) describe() []retain.Segment {
	segments := *l.segments.Load()
	all := make([]retain.Segment, len(segments))
	for i, s := range segments {
		all[i] = retain.Segment{
			BaseOffset:     s.base,
			NextOffset:     s.next.Load(),
			Size:           s.size.Load(),
			MaxTimestamp:   s.times.largest().timestamp,
			LastModified:   s.created.UnixMilli(),
			FirstTimestamp: -1,
		}
	}
	return all
}

// checkpointLog is Checkpoint for one log.
func (d *Dir) checkpointLog(l *Log) error {
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	if err := l.advanceRecoveryPoint(); err != nil {
		return fmt.Errorf("checkpoint %s: %w", l, err)
	}
	return d.writeCheckpoints(d.Logs())
}

// deleteOldest takes the first n segments out of the log. Their files are
// deleted later, and stay readable for whoever reads them now. The caller holds
// mu.
func (l *Log) deleteOldest(n int, now time.Time) error {
	segments := *l.segments.Load()
	gone, kept := segments[:n:n], append([]*segment(nil), segments[n:]...)
	l.segments.Store(&kept)
	if err := l.moveStart(max(l.Start(), kept[0].base)); err != nil {
		return err
	}
	due := now.Add(l.Config().FileDeleteDelay)
	for _, s := range gone {
		if err := l.doomSegment(s, due); err != nil {
			return err
		}
	}
	return l.dropSnapshots(kept[0].base)
}

// doomSegment lets the files of a segment that is no longer in the log go.
func (l *Log) doomSegment(s *segment, due time.Time) error {
	s.retire()
	for _, name := range s.files() {
		if err := l.doomFile(name, due); err != nil {
			return err
		}
	}
	return nil
}

// doomFile renames a file so that a restart knows it is to be deleted.
func (l *Log) doomFile(name string, due time.Time) error {
	err := l.dir.fs.Rename(name, name+".deleted")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // never made: an index without entries, or no transactions
	case err != nil:
		return fmt.Errorf("delete %s: %w", name, err)
	}
	l.dir.doom(name+".deleted", due)
	return nil
}
