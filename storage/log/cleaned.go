package log

import (
	"errors"
	"fmt"
	"math"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/retain"
)

// cleaned is a compacted segment while it is written. Nobody else knows of it.
// Its files end in .cleaned.
type cleaned struct {
	*segment
	interval int    // index.interval.bytes
	buf      []byte // batches that are not written yet
	limit    int    // of buf, from which on it is written
}

// newCleaned is a compacted segment without files yet, which uses buf for its
// memory.
func (l *Log) newCleaned(base int64, buf []byte, limit int) *cleaned {
	c := &cleaned{segment: newSegment(l.dir.fs, l.path, base), interval: l.Config().IndexIntervalBytes, buf: buf[:0], limit: limit}
	for _, h := range c.handles() {
		h.name += cleanedSuffix
	}
	return c
}

// create makes the files, empty.
func (c *cleaned) create() error {
	for _, h := range []*handle{&c.records, &c.index.entries.handle, &c.times.entries.handle} {
		// The file stays open: nothing sweeps what is in no list.
		file, err := h.acquire()
		if err != nil {
			return err
		}
		h.release()
		if err := file.Truncate(0); err != nil {
			return fmt.Errorf("truncate %s: %w", h.name, err)
		}
	}
	return nil
}

// errTooLong says that a segment would outgrow its indexes.
var errTooLong = errors.New("the compacted segment would be longer than 2 GiB")

// add takes the batch that was appended to buf from position from on.
func (c *cleaned) add(from int) error {
	position := c.size.Load() + int64(from)
	batch := record.Batch(c.buf[from:])
	if position+int64(len(batch)) > math.MaxInt32 {
		return unreadable{fmt.Errorf("%s: %w", c.records.name, errTooLong)}
	}
	c.indexBatch(batch, batch.MaxTimestamp(), position, c.interval)
	c.next.Store(batch.NextOffset())
	if len(c.buf) < c.limit {
		return nil
	}
	return c.write()
}

func (c *cleaned) write() error {
	file, err := c.records.acquire()
	if err != nil {
		return err
	}
	defer c.records.release()
	if _, err := file.WriteAt(c.buf, c.size.Load()); err != nil {
		return fmt.Errorf("write %d bytes to %s: %w", len(c.buf), c.records.name, err)
	}
	c.size.Add(int64(len(c.buf)))
	c.buf = c.buf[:0]
	return nil
}

// note adds an aborted transaction whose batches are not all gone.
func (c *cleaned) note(a retain.AbortedTxn) {
	c.txns.append(completedTxn{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset, LastOffset: a.LastOffset, LastStable: a.LastStable, Aborted: true})
}

// finish writes what is left and makes all of it durable.
func (c *cleaned) finish() error {
	if len(c.buf) > 0 {
		if err := c.write(); err != nil {
			return err
		}
	}
	c.times.mark()
	if err := errors.Join(c.index.sync(), c.times.sync(), c.txns.sync()); err != nil {
		return err
	}
	file, err := c.records.acquire()
	if err != nil {
		return err
	}
	defer c.records.release()
	if err := file.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", c.records.name, err)
	}
	c.synced = c.size.Load()
	return nil
}
