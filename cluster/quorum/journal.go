package quorum

import (
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/cluster/metadata"
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

// write appends the records as one batch and waits until it is durable. It
// returns the offset after them and the batch's size.
func (j *journal) write(records []metadata.Record) (end int64, bytes int, err error) {
	batch, err := j.batch(records)
	if err != nil {
		return 0, 0, fmt.Errorf("build the batch of a decision: %w", err)
	}
	if len(batch) > j.limit {
		return 0, 0, fmt.Errorf("a decision of %d bytes is beyond the %d that fit a segment of the metadata log; ask for less at once: %w",
			len(batch), j.limit, kerr.PolicyViolation)
	}
	result, err := j.log.Append(batch, log.AppendOptions{Now: time.Now(), Origin: log.FromCoordinator})
	if err != nil {
		return 0, 0, fmt.Errorf("write a decision to the metadata log: %w: %w", kerr.KafkaStorageError, err)
	}
	end = result.LastOffset + 1
	if err := j.await(end); err != nil {
		return 0, 0, fmt.Errorf("flush a decision to the metadata log: %w: %w", kerr.KafkaStorageError, err)
	}
	j.log.SetHighWatermark(end)
	return end, len(batch), nil
}

func (j *journal) batch(records []metadata.Record) (record.Batch, error) {
	j.builder.Reset()
	now := time.Now().UnixMilli()
	var value []byte
	for _, r := range records {
		value = metadata.Encode(value[:0], r)
		j.builder.Append(now, nil, value)
	}
	return j.builder.Build(nil)
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

// replay calls each for every decision from the given offset on, with the
// offset after it and its size.
func (j *journal) replay(from int64, each func(records []metadata.Record, end int64, bytes int) error) error {
	if start := j.log.Start(); start > from {
		return fmt.Errorf("the log begins at offset %d, the newest snapshot ends at %d: what lies between is missing; restore the folder from a backup", start, from)
	}
	end := j.log.End()
	if end < from {
		return fmt.Errorf("the log ends at offset %d, before the newest snapshot, which ends at %d: restore the folder from a backup", end, from)
	}
	if err := j.await(end); err != nil {
		return err
	}
	j.log.SetHighWatermark(end)
	r := replayer{at: from, each: each}
	for r.at < end {
		batches, err := j.read(r.at, end)
		if err != nil {
			return fmt.Errorf("read the log from offset %d: %w", r.at, err)
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
	each    func(records []metadata.Record, end int64, bytes int) error
	scratch record.Scratch
}

func (r *replayer) all(batches []byte) error {
	for len(batches) > 0 {
		batch, rest, err := nextBatch(batches, r.at)
		if err != nil {
			return err
		}
		records, err := decodeBatch(batch, &r.scratch)
		if err != nil {
			return err
		}
		if err := r.each(records, batch.NextOffset(), len(batch)); err != nil {
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
	if batch, rest, err = record.Next(b); err != nil {
		return nil, nil, err
	}
	if batch.BaseOffset() != at {
		return nil, nil, fmt.Errorf("begins at offset %d", batch.BaseOffset())
	}
	return batch, rest, batch.Verify()
}

func decodeBatch(batch record.Batch, scratch *record.Scratch) ([]metadata.Record, error) {
	records := make([]metadata.Record, 0, batch.Count())
	err := batch.Each(scratch, 0, func(r *record.Record) error {
		decoded, err := metadata.Decode(r.Value)
		records = append(records, decoded)
		return err
	})
	return records, err
}
