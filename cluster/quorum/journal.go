package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/klamm-io/klamm/protocol"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/log"
)

// The metadata log's name and id are Kafka's.
var (
	journalPartition = protocol.TopicPartition{Topic: "__cluster_metadata", Partition: 0}
	journalID        = protocol.TopicID{15: 1}
)

const (
	defaultSegmentBytes = 8 << 20
	readBytes           = 1 << 20
	// failureInterval is how often a decision that waits for the disk looks
	// whether the log has failed meanwhile.
	failureInterval = 50 * time.Millisecond
)

// journal is the metadata log and its snapshots.
type journal struct {
	log     *log.Log
	fs      disk.FS
	limit   int           // bytes of one batch
	flushed chan struct{} // has room for one word that Flushed advanced
	builder *record.Builder
}

func openJournal(c Config, deps Deps) (*journal, error) {
	j := &journal{fs: deps.FS, limit: c.SegmentBytes, flushed: make(chan struct{}, 1), builder: record.NewBuilder()}
	if j.limit == 0 {
		j.limit = defaultSegmentBytes
	}
	l, err := deps.Dir.Open(journalPartition, journalID, j.logConfig())
	if err != nil {
		return nil, fmt.Errorf("open the metadata log: %w", err)
	}
	j.log = l
	l.OnCommitted(func(int64) {
		select {
		case j.flushed <- struct{}{}:
		default:
		}
	})
	return j, nil
}

// logConfig keeps everything until a snapshot takes its place, however old.
func (j *journal) logConfig() log.Config {
	return log.Config{
		SegmentBytes:         j.limit,
		SegmentAge:           math.MaxInt64,
		SegmentIndexBytes:    10 << 20,
		IndexIntervalBytes:   4 << 10,
		Delete:               true,
		RetentionMs:          -1,
		RetentionBytes:       -1,
		MaxMessageBytes:      j.limit,
		Compression:          log.ProducerCompression,
		TimestampBeforeMaxMs: math.MaxInt64,
		TimestampAfterMaxMs:  math.MaxInt64,
		FlushOnAck:           true,
	}
}

// errNotWritten says that the disk did not take something, and holds what it held
// before.
var errNotWritten = errors.New("not written")

// write puts entries into the log, in place of what it has from their first one
// on, and waits until they are durable. After an error that is not errNotWritten
// nobody knows what the log holds.
func (j *journal) write(entries []*raftpb.Entry) error {
	batches, err := j.batches(entries)
	if err != nil {
		return err
	}
	from := int64(entries[0].GetIndex()) - 1
	end := j.log.End()
	if err := j.log.TruncateTo(from); err != nil {
		return err
	}
	if _, err := j.log.AppendReplicated(batches, time.Now()); err != nil {
		if from < end || j.log.Failed() != nil {
			return err
		}
		if undo := j.log.TruncateTo(from); undo != nil {
			return errors.Join(err, undo)
		}
		return fmt.Errorf("%w: %w", errNotWritten, err)
	}
	return j.await(from + int64(len(entries)))
}

// batches makes each entry a batch of one record.
func (j *journal) batches(entries []*raftpb.Entry) ([]byte, error) {
	var all []byte
	now := time.Now().UnixMilli()
	for _, e := range entries {
		decision, err := decisionOf(e)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", e.GetIndex(), err)
		}
		j.builder.Reset()
		j.builder.BaseOffset, j.builder.LeaderEpoch = int64(e.GetIndex())-1, int32(e.GetTerm())
		j.builder.Append(now, nil, decision)
		batch, err := j.builder.Build(nil)
		if err != nil {
			return nil, fmt.Errorf("build the batch of entry %d: %w", e.GetIndex(), err)
		}
		all = append(all, batch...)
	}
	return all, nil
}

// await returns when the log is durable up to end, or will never be.
func (j *journal) await(end int64) error {
	tick := time.NewTicker(failureInterval)
	defer tick.Stop()
	for j.log.Flushed() < end {
		if err := j.log.Failed(); err != nil {
			return err
		}
		select {
		case <-j.flushed:
		case <-tick.C:
		}
	}
	return nil
}

// replay calls each for every entry behind the given index.
func (j *journal) replay(after uint64, each func(index, term uint64, decision []byte) error) error {
	if start := j.log.Start(); start > int64(after) {
		return fmt.Errorf("%w: the log begins at offset %d, the newest snapshot ends at %d: what lies between is missing; restore the folder from a backup", errDamaged, start, after)
	}
	if j.log.End() < int64(after) {
		// A stop came between a leader's snapshot and the log's new beginning.
		if err := j.log.StartAt(int64(after)); err != nil {
			return err
		}
	}
	end := j.log.End()
	if err := j.await(end); err != nil {
		return err
	}
	r := replayer{at: int64(after), each: each}
	for r.at < end {
		batches, err := j.read(r.at, end)
		if errors.Is(err, kerr.CorruptMessage) {
			err = fmt.Errorf("%w: %w", errDamaged, err)
		}
		if err != nil {
			return fmt.Errorf("read the log from offset %d: %w; restore the folder from a backup", r.at, err)
		}
		if err := r.all(batches); err != nil {
			return fmt.Errorf("batch at offset %d: %w", r.at, err)
		}
	}
	return nil
}

// replayer goes through the log's batches.
type replayer struct {
	at      int64 // offset of the next batch
	term    int32 // of the one before
	each    func(index, term uint64, decision []byte) error
	scratch record.Scratch
}

func (r *replayer) all(batches []byte) error {
	for len(batches) > 0 {
		batch, rest, err := nextBatch(batches, r.at)
		if err != nil {
			return err
		}
		if batch.Count() != 1 {
			return fmt.Errorf("it has %d records, an entry is one: another version of Klamm wrote the log, which this one does not read; start that version, or begin in another folder of log.dirs", batch.Count())
		}
		if batch.PartitionLeaderEpoch() < r.term {
			return fmt.Errorf("%w: term %d follows %d", errDamaged, batch.PartitionLeaderEpoch(), r.term)
		}
		r.term = batch.PartitionLeaderEpoch()
		err = batch.Each(&r.scratch, 0, func(rec *record.Record) error {
			return r.each(uint64(r.at)+1, uint64(batch.PartitionLeaderEpoch()), bytes.Clone(rec.Value))
		})
		if err != nil {
			return err
		}
		r.at, batches = batch.NextOffset(), rest
	}
	return nil
}

// read copies batches from one offset on, at least one.
func (j *journal) read(from, end int64) ([]byte, error) {
	slice, err := j.log.Read(from, readBytes, end, true)
	if err != nil {
		return nil, err
	}
	defer slice.Close()
	if slice.Len == 0 {
		return nil, fmt.Errorf("nothing there, though the log ends at %d", end)
	}
	b := make([]byte, slice.Len)
	_, err = slice.File.ReadAt(b, slice.Off)
	return b, err
}

// nextBatch splits off one sound batch, which must begin at the given offset.
func nextBatch(b []byte, at int64) (batch record.Batch, rest []byte, err error) {
	if batch, rest, err = record.Next(b); err == nil && batch.BaseOffset() != at {
		err = fmt.Errorf("begins at offset %d", batch.BaseOffset())
	}
	if err == nil {
		err = batch.Verify()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return batch, rest, nil
}
