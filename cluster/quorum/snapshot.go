package quorum

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klamm-io/klamm/cluster/metadata"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// A snapshot is a file of batches beside the log's segments, named for the
// offset in the log that it stands in for. Its first record is a header that
// says the same, and how many records follow.
const (
	snapshotSuffix     = ".image"
	snapshotVersion    = 0
	snapshotHeaderSize = 1 + 8 + 8 + 4
	snapshotBatchBytes = 256 << 10
	snapshotGrowth     = 4 // times its size in log is what the next snapshot waits for
)

// interval is how many bytes of log may follow a snapshot of the given size
// before the next is worth its cost.
func (q *Quorum) interval(size int) int64 {
	return max(q.config.SnapshotBytes, snapshotGrowth*int64(size))
}

func (q *Quorum) announceGrowth(s *state) {
	if s.written < q.due.Load() {
		return
	}
	select {
	case q.grown <- struct{}{}:
	default:
	}
}

// Run writes snapshots when the log has grown, until ctx ends.
func (q *Quorum) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-q.grown:
			q.snapshot()
		}
	}
}

// snapshot writes the present image down and lets the log go up to it. Where
// that fails the log stays whole, and it is tried again when more was written.
func (q *Quorum) snapshot() {
	s := q.state.Load()
	if s.written < q.due.Load() {
		return
	}
	size, err := q.journal.saveSnapshot(s)
	q.due.Store(s.written + q.interval(size))
	if err != nil {
		q.logger.Error("a snapshot of the metadata failed; the metadata log stays whole", "offset", s.index, "err", err)
		return
	}
	q.logger.Info("wrote a snapshot of the metadata", "offset", s.index, "bytes", size, "topics", s.image.NumTopics())
	select {
	case q.replica.snapshots <- s:
	case <-q.closed:
	}
}

// saveSnapshot returns the snapshot's size, as far as it got.
func (j *journal) saveSnapshot(s *state) (int, error) {
	data, err := encodeSnapshot(s)
	if err != nil {
		return 0, fmt.Errorf("encode: %w", err)
	}
	if err := disk.WriteFileAtomic(j.fs, j.snapshotFile(s.index), data); err != nil {
		return len(data), err
	}
	return len(data), j.dropBefore(s.index)
}

// installSnapshot takes a leader's snapshot in place of the log.
func (j *journal) installSnapshot(data []byte, at uint64) error {
	if err := disk.WriteFileAtomic(j.fs, j.snapshotFile(at), data); err != nil {
		return fmt.Errorf("%w: %w", errNotWritten, err)
	}
	if err := j.log.StartAt(int64(at)); err != nil {
		return err
	}
	return j.dropBefore(at)
}

func (j *journal) readSnapshot(at uint64) ([]byte, error) { return j.fs.ReadFile(j.snapshotFile(at)) }

// dropBefore lets go of what the snapshot at an index makes superfluous.
func (j *journal) dropBefore(at uint64) error {
	if int64(at) <= j.log.End() {
		if err := j.log.AdvanceStart(int64(at)); err != nil {
			return err
		}
	}
	snapshots, err := j.snapshots()
	for _, older := range snapshots {
		if older < at {
			err = errors.Join(err, j.fs.Remove(j.snapshotFile(older)))
		}
	}
	return err
}

func (j *journal) snapshotFile(at uint64) string {
	return filepath.Join(j.log.Path(), fmt.Sprintf("%020d%s", at, snapshotSuffix))
}

// snapshots returns the indexes of those that are there, ascending.
func (j *journal) snapshots() ([]uint64, error) {
	entries, err := j.fs.ReadDir(j.log.Path())
	if err != nil {
		return nil, fmt.Errorf("list the snapshots in %s: %w", j.log.Path(), err)
	}
	var all []uint64
	for _, e := range entries {
		stem, is := strings.CutSuffix(e.Name(), snapshotSuffix)
		if at, err := strconv.ParseUint(stem, 10, 63); is && err == nil {
			all = append(all, at)
		}
	}
	return all, nil
}

// loadSnapshot returns what the newest snapshot holds, and its size; the empty
// image and 0 where there is none.
func (j *journal) loadSnapshot() (s *state, size int, err error) {
	snapshots, err := j.snapshots()
	if err != nil || len(snapshots) == 0 {
		return &state{image: metadata.Empty()}, 0, err
	}
	at := snapshots[len(snapshots)-1]
	data, err := j.readSnapshot(at)
	if err != nil {
		return nil, 0, fmt.Errorf("read the snapshot: %w", err)
	}
	if s, err = decodeSnapshot(data); err == nil && s.index != at {
		err = fmt.Errorf("its header says offset %d", s.index)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("the snapshot %s is damaged; restore it from a backup: %w", j.snapshotFile(at), err)
	}
	return s, len(data), nil
}

// snapshotWriter gathers records into batches.
type snapshotWriter struct {
	now     int64
	builder *record.Builder
	data    []byte
}

func encodeSnapshot(s *state) ([]byte, error) {
	w := &snapshotWriter{now: time.Now().UnixMilli(), builder: record.NewBuilder()}
	count := uint32(0)
	var value []byte
	for range s.image.Records() {
		count++
	}
	value = append(value, snapshotVersion)
	value = binary.BigEndian.AppendUint64(value, s.index)
	value = binary.BigEndian.AppendUint64(value, s.term)
	value = binary.BigEndian.AppendUint32(value, count)
	w.builder.Append(w.now, nil, value)
	for r := range s.image.Records() {
		if w.builder.Len() > snapshotBatchBytes {
			if err := w.flush(); err != nil {
				return nil, err
			}
		}
		value = metadata.Encode(value[:0], r)
		w.builder.Append(w.now, nil, value)
	}
	err := w.flush()
	return w.data, err
}

func (w *snapshotWriter) flush() error {
	batch, err := w.builder.Build(nil)
	w.data = append(w.data, batch...)
	w.builder.BaseOffset += int64(w.builder.Count())
	w.builder.Reset()
	return err
}

func decodeSnapshot(data []byte) (*state, error) {
	r := &snapshotReader{state: &state{image: metadata.Empty()}, decoder: metadata.NewDecoder()}
	for len(data) > 0 {
		batch, rest, err := nextBatch(data, r.next)
		if err != nil {
			return nil, fmt.Errorf("batch at record %d: %w", r.next, err)
		}
		if err := r.batch(batch); err != nil {
			return nil, fmt.Errorf("batch at record %d: %w", batch.BaseOffset(), err)
		}
		data = rest
	}
	if r.next != r.count+1 {
		return nil, fmt.Errorf("%w: it holds %d records, its header counts %d", errDamaged, r.next-1, r.count)
	}
	return r.state, nil
}

// snapshotReader is an image that grows batch by batch.
type snapshotReader struct {
	state   *state
	next    int64 // records read, the header among them
	count   int64 // as the header has it
	scratch record.Scratch
	decoder *metadata.Decoder
}

func (r *snapshotReader) batch(batch record.Batch) error {
	var records []metadata.Record
	err := batch.Each(&r.scratch, 0, func(rec *record.Record) error {
		r.next++
		if r.next == 1 {
			return r.header(rec.Value)
		}
		decoded, err := r.decoder.Record(rec.Value)
		records = append(records, decoded)
		return err
	})
	if err != nil {
		return err
	}
	r.state.image, _, err = r.state.image.Apply(records)
	return err
}

func (r *snapshotReader) header(b []byte) error {
	if len(b) == 0 || b[0] != snapshotVersion {
		return fmt.Errorf("header of %d bytes is not of version %d; start the newer version of Klamm that wrote it", len(b), snapshotVersion)
	}
	if len(b) != snapshotHeaderSize {
		return fmt.Errorf("header of %d bytes, want %d", len(b), snapshotHeaderSize)
	}
	r.state.index = binary.BigEndian.Uint64(b[1:])
	r.state.term = binary.BigEndian.Uint64(b[9:])
	r.count = int64(binary.BigEndian.Uint32(b[17:]))
	return nil
}
