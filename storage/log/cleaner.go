package log

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
	"github.com/klamm-io/klamm/storage/retain"
)

// CleanerConfig is how logs are compacted.
type CleanerConfig struct {
	Threads        int           // log.cleaner.threads: logs that are compacted at the same time
	DedupeBytes    int64         // log.cleaner.dedupe.buffer.size: memory for keys, of all threads
	LoadFactor     float64       // log.cleaner.io.buffer.load.factor: how full that may become, above 0, at most 1
	IOBufferBytes  int           // log.cleaner.io.buffer.size: memory to read and write with, of all threads
	BytesPerSecond float64       // log.cleaner.io.max.bytes.per.second: read and written, of all threads
	Backoff        time.Duration // log.cleaner.backoff.ms: rest where nothing is to be done
}

// Cleaner compacts the logs of some folders whose cleanup.policy asks for it, the
// dirtiest first. It is safe for concurrent use.
//
// [Cleaner.Run] owns a goroutine for each thread, and those that wait for them.
// mu comes before the locks of a Dir and of a Log.
type Cleaner struct {
	dirs    []*Dir
	logger  *slog.Logger
	pace    pace
	changed chan struct{} // has room for one change of the configuration

	mu sync.Mutex
	// Guarded by mu.
	config      CleanerConfig
	busy        map[*Log]*pass
	resting     map[*Log]time.Time // until when a log is left alone whose pass failed
	uncleanable map[*Log]error     // logs that are not compacted any more, and why
	lastLook    time.Time
	dirtiest    float64
	overdue     time.Duration
	last        map[*compactor]LastPass
	passes      int64
	failures    int64
	counts      PassCounts
}

// LastPass is how the last pass of one thread went.
type LastPass struct {
	Took        time.Duration
	KeysUsed    float64 // part of the memory for keys that was filled, 0 to 1
	RecopyRatio float64 // bytes written for each byte read
}

// NewCleaner returns a cleaner for the logs of dirs, now and later.
func NewCleaner(c CleanerConfig, dirs []*Dir, logger *slog.Logger) *Cleaner {
	return &Cleaner{
		config: c, dirs: dirs, logger: logger, changed: make(chan struct{}, 1), lastLook: time.Now(),
		busy: map[*Log]*pass{}, resting: map[*Log]time.Time{}, uncleanable: map[*Log]error{}, last: map[*compactor]LastPass{},
	}
}

// Run compacts until ctx ends.
func (c *Cleaner) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.runUntilChanged(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Configure replaces the configuration. Passes that run end, and begin anew with
// it.
func (c *Cleaner) Configure(config CleanerConfig) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.config == config {
		return
	}
	c.config = config
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// runUntilChanged compacts until ctx ends or the configuration changes.
func (c *Cleaner) runUntilChanged(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	c.mu.Lock()
	clear(c.last)
	for range c.config.Threads {
		w := c.newCompactor()
		g.Go(func() error {
			w.run(ctx)
			return nil
		})
	}
	c.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-c.changed:
	}
	stop()
	return g.Wait()
}

// compactor is one goroutine that compacts, with its memory.
type compactor struct {
	cleaner *Cleaner
	config  CleanerConfig
	in      []byte // to read with
	out     []byte // to write with
	size    int    // of each, in bytes
	filter  record.Filter
	writing *cleaned                    // nil while nothing is written
	paid    struct{ read, wrote int64 } // positions in the present files up to which was paid
}

// newCompactor makes one by the present configuration. The caller holds mu, or
// has the cleaner to itself.
func (c *Cleaner) newCompactor() *compactor {
	size := max(minIOBuffer, c.config.IOBufferBytes/max(1, c.config.Threads)/2)
	return &compactor{cleaner: c, config: c.config, in: make([]byte, size), out: make([]byte, 0, size), size: size}
}

// minIOBuffer is the least that is read or written at once.
const minIOBuffer = 16 << 10

func (w *compactor) run(ctx context.Context) {
	for ctx.Err() == nil {
		if !w.once(ctx, time.Now()) && pause(ctx, w.config.Backoff) != nil {
			return
		}
	}
}

// once compacts the dirtiest log, and reports whether there was one.
func (w *compactor) once(ctx context.Context, now time.Time) bool {
	p := w.cleaner.choose(now)
	if p == nil {
		return false
	}
	p.worker = w
	p.keys = retain.NewOffsetMap(w.config.DedupeBytes/int64(max(1, w.config.Threads)), w.config.LoadFactor)
	began := time.Now()
	firstDirty, err := p.run(ctx)
	w.trim()
	w.cleaner.ended(w, p, time.Since(began), firstDirty, err)
	return err == nil
}

// trim lets go of memory that only a large batch needed.
func (w *compactor) trim() {
	w.filter.Trim(unfoldedCommon)
	if cap(w.in) > unfoldedCommon {
		w.in = make([]byte, w.size)
	}
	if cap(w.out) > unfoldedCommon {
		w.out = make([]byte, 0, w.size)
	}
}

// scan reads a file with the compactor's memory.
func (w *compactor) scan(file disk.File, at, to, expect int64) *scanner {
	s := newScanner(file, at, to, expect)
	s.chunk, s.buf, w.paid.read = w.size, w.in[:0], at
	return s
}

// keep takes the memory back.
func (w *compactor) keep(s *scanner) {
	if cap(s.buf) > cap(w.in) {
		w.in = s.buf
	}
}

// payEach is after how many bytes a pass looks whether it is to end.
const payEach = 256 << 10

// pay waits as long as the pace demands for what was read and written, and
// returns why the pass must end, if it must.
func (w *compactor) pay(ctx context.Context, p *pass, s *scanner) error {
	read, wrote := s.at-w.paid.read, w.wrote()-w.paid.wrote
	if read < payEach && s.at < s.to {
		return nil
	}
	w.paid.read, w.paid.wrote = s.at, w.wrote()
	p.done.Add(read)
	wait := w.cleaner.pace.spend(read+max(0, wrote), w.config.BytesPerSecond, time.Now())
	for {
		if err := p.check(ctx); err != nil || wait <= 0 {
			return err
		}
		step := min(wait, time.Second/10)
		if err := pause(ctx, step); err != nil {
			return err
		}
		wait -= step
	}
}

// wrote is how much of the present segment was written.
func (w *compactor) wrote() int64 {
	if w.writing == nil {
		return 0
	}
	return w.writing.size.Load()
}

// pace spreads bytes over time.
type pace struct {
	mu   sync.Mutex
	free time.Time // guarded by mu: when all that was spent so far is over
}

// spend returns how long to wait before n bytes more are in pace.
func (p *pace) spend(n int64, perSecond float64, now time.Time) time.Duration {
	if perSecond >= math.MaxInt64 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(float64(n) / perSecond * float64(time.Second)))
	return p.free.Sub(now)
}

// choose picks the dirtiest log that is worth a pass and not taken, nil for none.
func (c *Cleaner) choose(now time.Time) *pass {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastLook, c.dirtiest, c.overdue = now, 0, 0
	var best *pass
	for _, d := range c.dirs {
		for _, l := range d.Logs() {
			if !l.Config().Compact || l.Failed() != nil || c.left(l, now) {
				continue
			}
			policy, scope := l.compactRange(d.compactedTo(l), now)
			c.dirtiest = max(c.dirtiest, scope.Ratio())
			c.overdue = max(c.overdue, time.Duration(scope.OverdueMs)*time.Millisecond)
			if scope.Due(policy) && (best == nil || scope.Ratio() > best.scope.Ratio()) {
				best = &pass{log: l, scope: scope, now: now}
			}
		}
	}
	if best != nil {
		c.busy[best.log] = best
	}
	return best
}

// left reports whether a log is to be left alone. The caller holds mu.
func (c *Cleaner) left(l *Log, now time.Time) bool {
	_, uncleanable := c.uncleanable[l]
	return c.busy[l] != nil || uncleanable || now.Before(c.resting[l])
}

// ended takes in how a pass went.
func (c *Cleaner) ended(w *compactor, p *pass, took time.Duration, firstDirty int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, p.log)
	delete(c.resting, p.log)
	c.forgetClosed()
	if err != nil {
		c.failed(p.log, err)
		return
	}
	c.passes++
	c.counts.add(p.counts)
	last := LastPass{Took: took, KeysUsed: p.keys.Used()}
	if p.counts.BytesRead > 0 {
		last.RecopyRatio = float64(p.counts.BytesWritten) / float64(p.counts.BytesRead)
	}
	c.last[w] = last
	c.logger.Info("compacted a log", "partition", p.log.String(), "from", p.scope.FirstDirty, "to", firstDirty, "until", p.scope.Until,
		"keys", p.keys.Len(), "records_read", p.counts.RecordsRead, "records_kept", p.counts.RecordsKept,
		"bytes_read", p.counts.BytesRead, "bytes_written", p.counts.BytesWritten, "took", took)
}

// failed notes why a pass failed. The caller holds mu.
func (c *Cleaner) failed(l *Log, err error) {
	var data unreadable
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, errAbandoned), l.closed.Load():
	case errors.As(err, &data):
		c.failures++
		c.uncleanable[l] = err
		c.logger.Error("a log cannot be read and is not compacted any more; it grows until its damage is gone and the broker restarted",
			"partition", l.String(), "path", l.path, "err", err)
	default:
		c.failures++
		c.resting[l] = time.Now().Add(max(c.config.Backoff, time.Second))
		c.logger.Error("a compaction failed; the log is as before, and it is tried again", "partition", l.String(), "err", err)
	}
}

// forgetClosed lets go of logs that are no more. The caller holds mu.
func (c *Cleaner) forgetClosed() {
	for l := range c.uncleanable {
		if l.closed.Load() {
			delete(c.uncleanable, l)
		}
	}
	for l := range c.resting {
		if l.closed.Load() {
			delete(c.resting, l)
		}
	}
}

func (a *PassCounts) add(b PassCounts) {
	a.BytesRead += b.BytesRead
	a.BytesWritten += b.BytesWritten
	a.RecordsRead += b.RecordsRead
	a.RecordsKept += b.RecordsKept
}
