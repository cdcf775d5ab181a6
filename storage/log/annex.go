package log

import (
	"errors"
	"fmt"
	"time"

	"github.com/klamm-io/klamm/protocol"
)

// A log moves to another folder of the broker as a copy. That grows in an annex of the
// new folder, which is a folder of logs of its own, with one log in it; when it has all,
// it is closed there, and takes its place by being renamed. So a log is either whole
// where it was, or whole where it is to be, or both.

// annexSuffix ends the names of annexes. Kafka calls the copy of a log so.
const annexSuffix = "future"

// OpenAnnex makes an annex of the folder for the copy of one log. What a stop leaves of
// it is deleted when the folder is opened again.
func (d *Dir) OpenAnnex(tp protocol.TopicPartition) (*Dir, error) {
	c := DirConfig{NodeID: d.config.NodeID, ProducerExpiry: d.config.ProducerExpiry, Flushes: 1}
	return OpenDir(d.file(awayName(tp, annexSuffix)), c, Deps{FS: d.fs, Logger: d.logger, Observe: d.observe})
}

// Adopt moves the log of tp from an annex, which was closed in order, to the folder,
// which has none of that name. It is to be opened then.
func (d *Dir) Adopt(annex *Dir, tp protocol.TopicPartition) error {
	points, err := readOffsetCheckpoint(d.fs, annex.file(recoveryPointFile))
	if err != nil {
		return fmt.Errorf("adopt %s: %w", tp, err)
	}
	starts, err := readOffsetCheckpoint(d.fs, annex.file(logStartFile))
	if err != nil {
		return fmt.Errorf("adopt %s: %w", tp, err)
	}
	if err := d.forget(tp); err != nil {
		return fmt.Errorf("adopt %s: %w", tp, err)
	}
	if err := d.fs.Rename(annex.file(tp.String()), d.file(tp.String())); err != nil {
		return fmt.Errorf("adopt %s: %w", tp, err)
	}
	if err := d.fs.SyncDir(d.path); err != nil {
		return fmt.Errorf("adopt %s: %w", tp, errors.Join(err, d.fs.Rename(d.file(tp.String()), annex.file(tp.String()))))
	}
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	d.mu.Lock()
	d.recoveryPoints[tp] = points[tp]
	if start, known := starts[tp]; known {
		d.starts[tp] = start
	}
	d.mu.Unlock()
	d.report(d.writeCheckpoints(d.Logs())) // without it more is read after a stop
	return nil
}

// Abandon deletes an annex that was closed, or could not be.
func (d *Dir) Abandon(annex *Dir) { d.doom(annex.path, time.Time{}) }

// PutAside renames the folder of a log that is not open, so that nobody takes it for
// the partition's. It returns the new path.
func (d *Dir) PutAside(tp protocol.TopicPartition) (string, error) {
	aside := d.file(awayName(tp, "stray"))
	if err := d.fs.Rename(d.file(tp.String()), aside); err != nil {
		return "", fmt.Errorf("put %s aside: %w", d.file(tp.String()), err)
	}
	if err := d.forget(tp); err != nil {
		return "", err
	}
	return aside, d.fs.SyncDir(d.path)
}

// SyncNames makes durable which logs the folder has and has not: one that was deleted
// does not come back after a power cut.
func (d *Dir) SyncNames() error {
	if err := d.fs.SyncDir(d.path); err != nil {
		return fmt.Errorf("sync %s: %w", d.path, err)
	}
	return nil
}

// Halt lets the log refuse all appends from here on, as one that is closed, until
// resume is called. What was being appended has been when it returns.
func (l *Log) Halt() (resume func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed.Store(true)
	return func() { l.closed.Store(false) }
}
