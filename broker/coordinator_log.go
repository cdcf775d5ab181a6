package broker

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/klamm-io/klamm/broker/replica"
	"github.com/klamm-io/klamm/coordinator/shard"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/log"
)

// replayChunk is how much of a coordinator's log is read at a time. A batch
// larger than that is read whole all the same.
const replayChunk = 1 << 20

// coordinatorLog is a partition of an internal topic as its coordinator sees it.
type coordinatorLog struct {
	partition   *replica.Partition
	leaderEpoch int32 // in which the coordinator was loaded
}

// Append appends one batch and returns the offset of its last record.
func (c coordinatorLog) Append(batch record.Batch, o shard.AppendOptions) (int64, error) {
	result, err := c.partition.AppendIn(c.leaderEpoch, batch, log.AppendOptions{
		Now: time.Now(), Origin: log.FromCoordinator, Verification: o.Verification, MarkerEpochEach: o.MarkerEpochEach,
	})
	if err != nil {
		return -1, fmt.Errorf("append to %s: %w", c.partition, err)
	}
	return result.LastOffset, nil
}

// Verify begins to find out whether the log is in a producer's transaction.
func (c coordinatorLog) Verify(producerID int64, epoch int16) uint64 {
	return c.partition.Log().BeginVerification(producerID, epoch, time.Now().UnixMilli())
}

// WhenCommitted calls done once the record at offset is committed or lost.
func (c coordinatorLog) WhenCommitted(offset int64, done func(error)) {
	c.partition.WhenCommitted(c.leaderEpoch, offset, time.Time{}, alone(done))
}

// alone is for who has nothing to do with what is committed at the same time.
func alone(done func(error)) func(error) func() {
	return func(err error) func() {
		done(err)
		return nil
	}
}

// Replay hands every batch from the log's start to its end to apply. A batch is
// valid only during the call.
func (c coordinatorLog) Replay(apply func(record.Batch) error) error {
	l := c.partition.Log()
	var buf []byte
	for at, end := l.Start(), l.End(); at < end; {
		chunk, err := c.read(at, end, buf)
		if errors.Is(err, kerr.OffsetOutOfRange) && at < l.Start() {
			at = l.Start() // retention overtook the replay
			continue
		}
		if err != nil {
			return fmt.Errorf("replay %s at offset %d: %w", c.partition, at, err)
		}
		if len(chunk) == 0 {
			return nil
		}
		buf = chunk
		if at, err = applyAll(chunk, apply); err != nil {
			return fmt.Errorf("replay %s: %w", c.partition, err)
		}
	}
	return nil
}

// read returns whole batches from the one that holds offset at on, reusing buf.
func (c coordinatorLog) read(at, end int64, buf []byte) ([]byte, error) {
	slice, err := c.partition.Log().Read(at, replayChunk, end, true)
	if err != nil {
		return nil, err
	}
	defer slice.Close()
	if cap(buf) < slice.Len {
		buf = make([]byte, slice.Len)
	}
	buf = buf[:slice.Len]
	if _, err := slice.File.ReadAt(buf, slice.Off); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return buf, nil
}

func applyAll(chunk []byte, apply func(record.Batch) error) (next int64, err error) {
	for len(chunk) > 0 {
		var batch record.Batch
		if batch, chunk, err = record.Next(chunk); err != nil {
			return 0, err
		}
		if err := batch.Verify(); err != nil {
			return 0, fmt.Errorf("batch at offset %d: %w", batch.BaseOffset(), err)
		}
		if err := apply(batch); err != nil {
			return 0, fmt.Errorf("batch at offset %d: %w", batch.BaseOffset(), err)
		}
		next = batch.NextOffset()
	}
	return next, nil
}
