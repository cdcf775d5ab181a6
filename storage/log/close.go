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
	if err == nil {
		err = d.writeCleanShutdown()
	}
	return errors.Join(err, d.unlock())
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
	for _, s := range *l.segments.Load() {
		if err := errors.Join(s.unreserve(), s.index.store(), s.times.store(), s.txns.store()); err != nil {
			return fmt.Errorf("close %s: %w", l, err)
		}
		s.retire()
	}
	return nil
}
