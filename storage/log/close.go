package log

import (
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// closers is how many logs are closed at the same time.
const closers = 8

// Close makes everything durable, notes that the folder was closed in order, and
// lets go of it. Appends that come later are refused. Run must have returned.
//
// Where the stop before was unclean, and there are logs that were not opened since,
// those were not recovered: then this stop is not noted as one in order either.
func (d *Dir) Close() error {
	d.mu.Lock()
	if d.closing {
		d.mu.Unlock()
		return nil
	}
	d.closing = true
	d.mu.Unlock()
	d.flushers.Wait()
	err := d.closeLogs()
	recovered := d.clean
	if err == nil && !recovered {
		recovered, err = d.allOpened()
	}
	if err == nil && recovered {
		err = d.writeCleanShutdown()
	}
	return errors.Join(err, d.unlock())
}

// allOpened reports whether every log that has a folder was opened.
func (d *Dir) allOpened() (bool, error) {
	folders, err := d.Folders()
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, tp := range folders {
		if d.logs[tp] == nil {
			d.logger.Info("a log was not opened since the last stop, which was not in order: nor does this one count as such", "path", d.path, "partition", tp.String())
			return false, nil
		}
	}
	return true, nil
}

func (d *Dir) closeLogs() error {
	var g errgroup.Group
	g.SetLimit(closers)
	logs := d.Logs()
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	for _, l := range logs {
		g.Go(l.close)
	}
	return errors.Join(g.Wait(), d.writeCheckpoints(logs))
}

// close makes the log durable and lets go of its files. A log that failed before
// makes the folder's stop an unclean one.
func (l *Log) close() error {
	l.mu.Lock()
	l.closed.Store(true)
	l.mu.Unlock()
	if err := l.Failed(); err != nil {
		return fmt.Errorf("close %s: it failed before: %w", l, err)
	}
	if err := l.advanceRecoveryPoint(); err != nil {
		return fmt.Errorf("close %s: %w", l, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	segments := *l.segments.Load()
	for i, s := range segments {
		err := errors.Join(s.unreserve(), s.index.store(), s.times.store(), s.txns.store())
		if i == len(segments)-2 && l.active().size.Load() == 0 {
			err = errors.Join(err, s.index.sync(), s.times.sync()) // it was completed, and nothing was appended since
		}
		if err != nil {
			return fmt.Errorf("close %s: %w", l, err)
		}
		s.retire()
	}
	return nil
}
