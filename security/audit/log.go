package audit

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/klamm-io/klamm/storage/disk"
)

// Config is where the log is kept, and how much of it.
type Config struct {
	Dir      string
	MaxBytes int64 // of one file, but for its last line
	MaxFiles int   // that are kept, at least one
	Queue    int   // events that wait to be written at most
	Node     int32
	Version  string // of this program
}

// Deps is what a log works with.
type Deps struct {
	FS     disk.FS
	Logger *slog.Logger
	Now    func() time.Time
}

// Log takes events. The nil Log takes none.
type Log struct {
	config  Config
	deps    Deps
	queue   chan Event
	missing atomic.Int64 // events that no line has told of yet

	// Of the goroutine that runs.
	writer writer
	file   disk.File
	name   string
	size   int64
	failed bool // the last write did; it was logged
}

// Open goes on with the log in a folder, or begins one.
func Open(c Config, d Deps) (*Log, error) {
	l := &Log{config: c, deps: d, queue: make(chan Event, c.Queue), writer: writer{node: c.Node, version: c.Version, previous: start}}
	if err := d.FS.Mkdir(c.Dir); err != nil {
		return nil, fmt.Errorf("make the folder of the audit log: %w", err)
	}
	if err := l.resume(); err != nil {
		return nil, fmt.Errorf("go on with the audit log in %s: %w", c.Dir, err)
	}
	return l, nil
}

// On reports whether anything is written.
func (l *Log) On() bool { return l != nil }

// Record takes an event, which it owns from then on. It does not wait.
func (l *Log) Record(e Event) {
	if l == nil {
		return
	}
	select {
	case l.queue <- e:
	default:
		l.missing.Add(1)
	}
}

// Run writes events until ctx ends, and then those that there are.
func (l *Log) Run(ctx context.Context) error {
	for {
		select {
		case e := <-l.queue:
			l.write(&e)
		case <-ctx.Done():
			l.drain()
			return l.close()
		}
	}
}

func (l *Log) drain() {
	for {
		select {
		case e := <-l.queue:
			l.write(&e)
		default:
			return
		}
	}
}

// mostLines bounds what one flush covers.
const mostLines = 1024

// write writes an event and those that wait behind it, and flushes them to the disk.
func (l *Log) write(first *Event) {
	var lines []byte
	count := int64(0)
	before := l.writer
	add := func(e *Event) {
		next, err := l.writer.append(lines, e)
		if err != nil {
			l.missing.Add(1)
			return
		}
		lines, count = next, count+1
	}
	if n := l.missing.Swap(0); n > 0 {
		add(&Event{Kind: Gap, Time: l.deps.Now(), Missing: n, Reason: "events came faster than they could be written, or the disk refused them"})
		count += n - 1
	}
	add(first)
	for n := 1; n < mostLines && len(l.queue) > 0; n++ {
		e := <-l.queue
		add(&e)
	}
	if err := l.put(lines, before.sequence); err != nil {
		l.writer = before
		l.missing.Add(count)
		if !l.failed {
			l.deps.Logger.Error("the audit log cannot be written; a line will say how many events are missing", "err", err)
		}
		l.failed = true
		return
	}
	l.failed = false
}

// put appends lines, the first of which has that number, to a new file where the last is
// full.
func (l *Log) put(lines []byte, first int64) error {
	if l.file != nil && l.size >= l.config.MaxBytes {
		if err := l.close(); err != nil {
			return err
		}
	}
	if l.file == nil {
		if err := l.begin(first); err != nil {
			return err
		}
	}
	if l.failed { // a part of what could not be written may be there
		if err := l.file.Truncate(l.size); err != nil {
			return fmt.Errorf("cut off %s: %w", l.name, err)
		}
	}
	if _, err := l.file.WriteAt(lines, l.size); err != nil {
		return fmt.Errorf("write %s: %w", l.name, err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", l.name, err)
	}
	l.size += int64(len(lines))
	return nil
}

// begin makes a file whose name says the number of its first line, and removes the
// oldest where there are too many.
func (l *Log) begin(first int64) error {
	name := fileName(first)
	file, err := l.deps.FS.OpenFile(filepath.Join(l.config.Dir, name))
	if err != nil {
		return err
	}
	l.file, l.name, l.size = file, name, 0
	if err := l.deps.FS.SyncDir(l.config.Dir); err != nil {
		return err
	}
	names, err := fileNames(l.deps.FS, l.config.Dir)
	for err == nil && len(names) > l.config.MaxFiles {
		err = l.deps.FS.Remove(filepath.Join(l.config.Dir, names[0]))
		names = names[1:]
	}
	return err
}

func (l *Log) close() error {
	if l.file == nil {
		return nil
	}
	file := l.file
	l.file = nil
	return file.Close()
}
