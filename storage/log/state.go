package log

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// A log's state besides its records: its producers, kept in snapshots at the
// start of each segment and at the recovery point, and its leader epochs, kept
// in a file that is written when they change.

// checkProducers returns the batch in the log that the admitted one repeats, or
// why its producer may not append it. The caller holds mu.
func (l *Log) checkProducers(a *admission, o *AppendOptions) (*batchMeta, error) {
	for _, b := range a.batches {
		if b.ProducerID() < 0 {
			continue
		}
		duplicate, err := l.producers.check(b.Batch, o)
		if err != nil {
			return nil, fmt.Errorf("append to %s: %w", l, err)
		}
		if duplicate != nil {
			return duplicate, nil
		}
	}
	return nil, nil
}

func duplicateResult(d *batchMeta) AppendResult {
	if d == nil {
		return AppendResult{}
	}
	return AppendResult{BaseOffset: d.firstOffset(), LastOffset: d.LastOffset, LogAppendTime: d.Timestamp, Duplicate: true}
}

// noteProducers takes in what was appended. The caller holds mu.
func (l *Log) noteProducers(a *admission, s *segment, now time.Time) {
	for _, b := range a.batches {
		if done, ended := l.producers.update(b.Batch, now.UnixMilli()); ended {
			s.txns.append(done)
			l.noteEnded(done)
		}
		if b.Attributes().Transactional() {
			l.noteUnstable()
		}
	}
}

// noteUnstable publishes where the earliest open transaction begins.
func (l *Log) noteUnstable() {
	first, open := l.producers.firstUnstable()
	if !open {
		first = math.MaxInt64
	}
	l.firstUnstable.Store(first)
}

// endedTxn is a transaction whose marker may not be committed yet.
type endedTxn struct{ firstOffset, marker int64 }

// noteEnded publishes a transaction that has ended, so that it counts as open for
// readers until its marker is committed. The caller holds mu.
func (l *Log) noteEnded(done completedTxn) {
	recent := []endedTxn{{firstOffset: done.FirstOffset, marker: done.LastOffset}}
	if before := l.ended.Load(); before != nil {
		for _, e := range *before {
			if e.marker >= l.highWatermark.Load() {
				recent = append(recent, e)
			}
		}
	}
	l.ended.Store(&recent)
}

// expireProducers forgets producers that were silent for too long.
func (l *Log) expireProducers(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.producers.expire(now.UnixMilli(), l.dir.config.ProducerExpiry.Milliseconds())
	l.noteUnstable()
}

// producerSnapshot is the state of the producers at an end of the log.
type producerSnapshot struct {
	end int64
	raw []byte
}

// snapshotProducers takes the state for a recovery point at the log's end, and
// writes the leader epochs up to there.
func (l *Log) snapshotProducers() (producerSnapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return producerSnapshot{end: l.End(), raw: l.producers.encode()}, l.storeEpochs()
}

// storeProducers writes a snapshot for the log's end. The caller holds mu.
func (l *Log) storeProducers() error {
	return l.writeSnapshot(producerSnapshot{end: l.End(), raw: l.producers.encode()})
}

func (l *Log) snapshotFile(offset int64) string { return l.file(segmentName(offset) + ".snapshot") }

// writeSnapshot writes a snapshot. A checkpoint and a roll may want the same
// offset's at the same time.
func (l *Log) writeSnapshot(p producerSnapshot) error {
	l.snapshotMu.Lock()
	defer l.snapshotMu.Unlock()
	if l.deleted.Load() {
		return errRetired
	}
	if err := disk.WriteFileAtomic(l.dir.fs, l.snapshotFile(p.end), p.raw); err != nil {
		return fmt.Errorf("write the producers' snapshot: %w", err)
	}
	return nil
}

// storeSnapshot writes the snapshot of a recovery point, in place of that of the
// one before.
func (l *Log) storeSnapshot(p producerSnapshot) error {
	if err := l.writeSnapshot(p); err != nil {
		return err
	}
	l.mu.Lock()
	before := l.snapshotAt
	l.snapshotAt = p.end
	l.mu.Unlock()
	if before == p.end || before == 0 || l.startsSegment(before) {
		return nil
	}
	return l.dir.remove(l.snapshotFile(before))
}

func (l *Log) startsSegment(offset int64) bool {
	return slices.ContainsFunc(*l.segments.Load(), func(s *segment) bool { return s.base == offset })
}

// dropSnapshots removes the snapshots below offset, which recoveries no longer
// begin at.
func (l *Log) dropSnapshots(offset int64) error {
	names, err := l.dir.fs.ReadDir(l.path)
	if err != nil {
		return fmt.Errorf("list %s: %w", l.path, err)
	}
	for _, entry := range names {
		if name := entry.Name(); strings.HasSuffix(name, ".snapshot") && name < segmentName(offset) {
			if err := l.dir.remove(l.file(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadProducers takes the newest snapshot that can be read, and goes through
// what was appended after it.
func (l *Log) loadProducers(f found, now time.Time) error {
	from, err := l.takeSnapshot(f.snapshots, now)
	if err != nil {
		return err
	}
	for _, s := range *l.segments.Load() {
		if err := l.takeTxns(s, s.txns.load(f.sizes[filepath.Base(s.txns.entries.name)]), from); err != nil {
			return err
		}
	}
	return l.replayProducers(from, now.UnixMilli())
}

// takeSnapshot makes the newest of the snapshots that can be read the state of
// the producers, and returns the offset that it was made at. Those beyond the
// log's end are removed.
func (l *Log) takeSnapshot(snapshots []int64, now time.Time) (from int64, err error) {
	l.producers = newProducers()
	for _, at := range slices.Backward(snapshots) {
		if at > l.End() {
			if err := l.dir.remove(l.snapshotFile(at)); err != nil {
				return 0, err
			}
			continue
		}
		p, err := readSnapshot(l.dir.fs, l.snapshotFile(at), now)
		if err != nil {
			l.logger.Warn("a producers' snapshot cannot be read; an older one is used", "partition", l.String(), "err", err)
			continue
		}
		l.producers, l.snapshotAt = p, at
		return at, nil
	}
	return l.Start(), nil
}

// takeTxns keeps what the index of transactions of s says up to offset from: the
// replay adds what ended later. An index that cannot be read, which err tells,
// begins anew.
func (l *Log) takeTxns(s *segment, err error, from int64) error {
	if err == nil && s.next.Load() >= from { // a marker that the log lost may have an entry still
		err = s.txns.cutFrom(from)
	}
	if err == nil {
		return nil
	}
	l.logger.Error("an index of aborted transactions cannot be read; committed readers may be given their records", "partition", l.String(), "err", err)
	l.abortsLost = true
	return s.txns.clear()
}

func readSnapshot(fsys disk.FS, path string, now time.Time) (*producers, error) {
	raw, err := fsys.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := decodeProducers(raw, now.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// replayProducers takes in every batch from offset on, and publishes what is
// unstable then.
func (l *Log) replayProducers(from, now int64) error {
	defer l.noteUnstable()
	if from >= l.End() {
		return nil
	}
	segments := *l.segments.Load()
	for _, s := range segments[max(0, segmentIndex(segments, from)):] {
		size := s.size.Load()
		position, found, err := s.locate(from, size)
		if err == nil && found {
			err = s.soundHeaders(position, size, func(header record.Batch, at int64) error {
				return l.replayBatch(s, header, at, now)
			})
		}
		if err != nil && !errors.Is(err, errGarbage) {
			return fmt.Errorf("read the producers of %s: %w", l, err)
		}
	}
	return nil
}

func (l *Log) replayBatch(s *segment, header record.Batch, at, now int64) error {
	switch {
	case header.ProducerID() < 0:
		return nil
	case !header.Attributes().Control():
		l.producers.update(header, now)
		return nil
	}
	whole, err := l.readBatch(s, at, s.size.Load())
	if err != nil {
		l.logger.Error("the end of a transaction cannot be read", "partition", l.String(), "err", err)
		return nil
	}
	if done, ended := l.producers.update(whole, now); ended {
		s.txns.append(done)
	}
	return nil
}

// storeEpochs writes the leader epochs if they changed. The caller holds mu, or
// has the log to itself.
func (l *Log) storeEpochs() error {
	if !l.epochsChanged || l.deleted.Load() {
		return nil
	}
	if err := l.epochs.write(l.dir.fs, l.file(leaderEpochFile)); err != nil {
		return fmt.Errorf("write the leader epochs of %s: %w", l, err)
	}
	l.epochsChanged = false
	return nil
}

// BeginEpoch notes that a leader of the given epoch appends from here on. It is
// written down at the next checkpoint: after a stop before that, the batches
// above the recovery point tell it. Appends of earlier leaders are refused from
// here on.
func (l *Log) BeginEpoch(epoch int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaderFloor = epoch
	l.noteEpoch(epoch, l.End())
}

// FollowEpoch notes that the log follows a leader of the given epoch from here on:
// appends of earlier leaders are refused. The epochs in which nothing was appended
// are forgotten, because what the leader has there may be of an epoch before them.
func (l *Log) FollowEpoch(epoch int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaderFloor = epoch
	l.epochsChanged = l.epochs.truncateFrom(l.End()) || l.epochsChanged
}

// noteEpoch remembers where a leader epoch begins (KIP-101). The caller holds mu.
func (l *Log) noteEpoch(epoch int32, start int64) {
	if l.epochs.assign(epoch, start) {
		l.epochsChanged = true
	}
}

// loadEpochs reads the leader epochs, and takes in those of batches above the
// recovery point: their file may be older than they are.
func (l *Log) loadEpochs(recoveryPoint int64) error {
	e, err := readEpochs(l.dir.fs, l.file(leaderEpochFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.logger.Warn("the leader epochs cannot be read; they are taken from the batches", "partition", l.String(), "err", err)
		e, recoveryPoint = &epochs{}, l.Start()
	}
	if len(e.starts) > 0 && e.starts[0].start > l.Start() {
		// The log's start had moved when the file was written, and that was lost.
		e, recoveryPoint = &epochs{}, l.Start()
	}
	l.epochs = e
	// What the file says of the offsets above the recovery point may be past: the
	// batches there tell what is true, which may be an epoch before those.
	changed := l.epochs.truncateFrom(min(recoveryPoint, l.End()))
	changed = l.epochs.truncateTo(l.Start()) || changed
	var runs epochRuns
	for _, s := range *l.segments.Load() {
		if s.next.Load() <= recoveryPoint || s.size.Load() == 0 {
			continue
		}
		position, _, err := s.locate(recoveryPoint, s.size.Load())
		if err != nil {
			position = 0 // what is damaged there does not hide the epochs of what follows
		}
		err = s.soundHeaders(position, s.size.Load(), func(header record.Batch, at int64) error {
			runs.add(s, header, at)
			return nil
		})
		if err != nil && !errors.Is(err, errGarbage) {
			return err
		}
	}
	for i, run := range runs {
		changed = !runs.odd(i) && l.epochs.assign(run.epoch, run.start) || changed
	}
	l.epochsChanged = l.epochs.truncateTo(l.Start()) || changed // of batches, too, that begin before the start
	return l.storeEpochs()
}
