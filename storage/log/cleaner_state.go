package log

import (
	"time"

	"github.com/klamm-io/klamm/protocol"
)

// CleanerState is what a [Cleaner] did and does.
type CleanerState struct {
	LastLook      time.Time     // when it last looked for a log to compact
	DirtiestRatio float64       // of the logs at that time, 0 to 1
	Overdue       time.Duration // the most by which a log had exceeded max.compaction.lag.ms then
	Passes        int64
	Failures      int64
	Counts        PassCounts // of all passes
	Last          []LastPass // of each thread that had one
	Folders       []CleanerFolder
	Logs          []CleanerLog // of those whose cleanup.policy has compact
}

// CleanerFolder is what cannot be compacted in one folder.
type CleanerFolder struct {
	Path             string
	Uncleanable      int   // logs
	UncleanableBytes int64 // that a pass would take in
}

// CleanerLog is how far one log is compacted.
type CleanerLog struct {
	protocol.TopicPartition
	FirstDirty  int64 // first offset that no pass has taken in
	DirtyBytes  int64 // that a pass may take in
	Running     bool
	Progress    float64 // of the pass that runs, 0 to 1
	Uncleanable bool
}

// State tells what the cleaner did and does at now.
func (c *Cleaner) State(now time.Time) CleanerState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := CleanerState{
		LastLook: c.lastLook, DirtiestRatio: c.dirtiest, Overdue: c.overdue,
		Passes: c.passes, Failures: c.failures, Counts: c.counts,
	}
	for _, last := range c.last {
		s.Last = append(s.Last, last)
	}
	for _, d := range c.dirs {
		folder := CleanerFolder{Path: d.path}
		for _, l := range d.Logs() {
			if !l.Config().Compact {
				continue
			}
			told := c.stateOf(l, now)
			if told.Uncleanable {
				folder.Uncleanable++
				folder.UncleanableBytes += told.DirtyBytes
			}
			s.Logs = append(s.Logs, told)
		}
		s.Folders = append(s.Folders, folder)
	}
	return s
}

// stateOf tells of one log. The caller holds mu.
func (c *Cleaner) stateOf(l *Log, now time.Time) CleanerLog {
	_, scope := l.compactRange(l.dir.compactedTo(l), now)
	told := CleanerLog{TopicPartition: l.TopicPartition, FirstDirty: scope.FirstDirty, DirtyBytes: scope.DirtyBytes}
	_, told.Uncleanable = c.uncleanable[l]
	if p := c.busy[l]; p != nil {
		told.Running, told.Progress = true, p.progress()
	}
	return told
}
