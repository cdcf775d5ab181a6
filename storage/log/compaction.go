package log

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/klamm-io/klamm/protocol/compress"
	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/retain"
)

// Compaction of one log. A pass reads what is dirty and remembers the last offset
// of each key; then it reads everything from the log's first segment on, and
// copies what stays into new segments, which take the place of their originals
// one group at a time. It holds no lock that appends or reads need, except for the
// moment in which the list of segments changes.
//
// Before it begins, the log's recovery point moves beyond all that the pass may
// look at: a start never has to recover what a pass has written, and a flush never
// meets a segment that was replaced.

// errAbandoned says that a pass ended because its log is deleted or truncated, or
// not to be compacted any more.
var errAbandoned = errors.New("the log is not compacted any more")

// unreadable says that a log cannot be compacted because of what it holds. To try
// again would not help.
type unreadable struct{ error }

func (u unreadable) Unwrap() error { return u.error }

// pass is one compaction of one log.
type pass struct {
	log   *Log
	scope retain.CompactRange
	now   time.Time

	segments []*segment // those that are sealed, ascending
	ends     []int64    // where each ends
	keys     *retain.OffsetMap
	copying  retain.CopyPass

	worker   *compactor
	done     atomic.Int64 // bytes read so far
	total    atomic.Int64 // bytes that are to be read, 0 before that is known
	counts   PassCounts
	withheld bool // something of the present group did not stay as it was
}

// PassCounts is what passes did.
type PassCounts struct {
	BytesRead    int64 // of the second reading
	BytesWritten int64
	RecordsRead  int64
	RecordsKept  int64
}

// compactRange tells what of the log may be compacted now, where a pass before
// got to firstDirty; negative for none.
func (l *Log) compactRange(firstDirty int64, now time.Time) (retain.CompactPolicy, retain.CompactRange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.config.Load()
	policy := retain.CompactPolicy{
		MinDirtyRatio: c.MinDirtyRatio, MinLagMs: c.MinCompactionLag.Milliseconds(), MaxLagMs: c.MaxCompactionLag.Milliseconds(),
	}
	segments := l.describe()
	if policy.MaxLagMs < math.MaxInt64/int64(time.Millisecond) {
		for i, s := range *l.segments.Load() {
			if i+1 < len(segments) && segments[i+1].BaseOffset > firstDirty {
				segments[i].FirstTimestamp = s.loadFirstTimestamp()
			}
		}
	}
	return policy, retain.Compact(policy, retain.Compactable{
		Segments: segments, LogStart: l.Start(), LogEnd: l.End(), LastStable: l.LastStable(l.highWatermark.Load()), FirstDirty: firstDirty,
	}, now.UnixMilli())
}

// run compacts, writes down up to where, and returns that: the offset before which
// nothing is dirty now.
func (p *pass) run(ctx context.Context) (firstDirty int64, err error) {
	l := p.log
	l.compactMu.Lock()
	defer l.compactMu.Unlock()
	if err := p.check(ctx); err != nil {
		return 0, err
	}
	if l.abortsLost {
		return 0, unreadable{errors.New("which transactions were aborted is not known")}
	}
	// Retention may have been here since the choice.
	_, p.scope = l.compactRange(p.scope.FirstDirty, p.now)
	p.takeSegments()
	if err := l.dir.checkpointLog(l); err != nil {
		return 0, err
	}
	taken, err := p.readKeys(ctx)
	if err != nil || taken == p.scope.FirstDirty {
		return taken, err
	}
	if err := p.copyAll(ctx, taken); err != nil {
		return 0, err
	}
	return taken, l.dir.storeCompacted(l, taken)
}

// interruptCompaction lets a pass that runs end, and keeps others and retention
// from the log until the function is called that it returns.
func (l *Log) interruptCompaction() (goOn func()) {
	l.interrupted.Add(1)
	l.compactMu.Lock()
	l.interrupted.Add(-1)
	return l.compactMu.Unlock
}

// takeSegments notes the segments that the range touches.
func (p *pass) takeSegments() {
	all := *p.log.segments.Load()
	for i, s := range all[:len(all)-1] {
		if s.base >= p.scope.Until {
			break
		}
		p.segments = append(p.segments, s)
		p.ends = append(p.ends, all[i+1].base)
		p.total.Add(s.size.Load())
	}
	p.total.Add(p.scope.DirtyBytes)
}

// progress is how much of the pass is done, 0 to 1.
func (p *pass) progress() float64 {
	return min(1, float64(p.done.Load())/float64(max(1, p.total.Load())))
}

// check returns why the pass must end, if it must.
func (p *pass) check(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case p.log.closed.Load() || p.log.interrupted.Load() > 0 || !p.log.Config().Compact:
		return errAbandoned
	}
	return p.log.Failed()
}

// readKeys takes in the keys of what is dirty, as many as fit, and returns up to
// where.
func (p *pass) readKeys(ctx context.Context) (taken int64, err error) {
	from, until := p.scope.FirstDirty, p.scope.Until
	reading := retain.NewKeyPass(p.keys, from)
	aborted, err := p.log.abortedBetween(from, until)
	if err != nil {
		return from, unreadable{err}
	}
	reading.Expect(aborted)
	for i, s := range p.segments {
		if p.ends[i] <= from {
			continue
		}
		full := false
		err := p.eachBatch(ctx, s, from, func(b record.Batch) error {
			if b.LastOffset() < from {
				return nil
			}
			if b.BaseOffset() >= until {
				return errStop
			}
			more, err := p.takeKeys(reading, b)
			if err == nil && !more {
				full, err = true, errStop
			}
			return err
		})
		if err != nil || full {
			return reading.Taken(), err
		}
		reading.Skip(min(p.ends[i], until))
	}
	return reading.Taken(), nil
}

func (p *pass) takeKeys(reading *retain.KeyPass, b record.Batch) (more bool, err error) {
	err = unfold(func(limit int) error {
		more, err = reading.Batch(b, limit)
		return err
	})
	if err != nil {
		err = unreadable{err}
	}
	return more, err
}

// unfold calls do with what a batch commonly unfolds to, and again with the
// most it may: then for one batch at a time in the whole process.
func unfold(do func(limit int) error) error {
	err := do(unfoldedCommon)
	if errors.Is(err, compress.ErrTooLarge) {
		unfoldLarge.Lock()
		defer unfoldLarge.Unlock()
		err = do(unfoldedMost)
	}
	return err
}

// eachBatch calls visit for each batch of a segment from the one that holds
// offset from on. errStop ends it early.
func (p *pass) eachBatch(ctx context.Context, s *segment, from int64, visit func(record.Batch) error) error {
	file, err := s.records.acquire()
	if err != nil {
		return err
	}
	defer s.records.release()
	size, at := s.size.Load(), int64(0)
	if from > s.base {
		if at, _, err = s.locate(from, size); err != nil {
			return unreadable{err}
		}
	}
	scan := p.worker.scan(file, at, size, s.base)
	defer p.worker.keep(scan)
	for {
		if err := p.worker.pay(ctx, p, scan); err != nil {
			return err
		}
		batch, err := scan.next()
		if errors.Is(err, errEnd) {
			return nil
		}
		if err != nil {
			return unreadable{fmt.Errorf("read %s at position %d: %w", s.records.name, scan.at, err)}
		}
		if err := visit(batch); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
}

// abortedBetween returns the aborted transactions that have records from offset
// from up to but not including to.
func (l *Log) abortedBetween(from, to int64) (all []retain.AbortedTxn, err error) {
	segments := *l.segments.Load()
	for _, s := range segments[max(0, segmentIndex(segments, from)):] {
		more := true
		err := s.txns.each(func(a abortedTxn) bool {
			if a.lastOffset >= from && a.FirstOffset < to {
				all = append(all, retain.AbortedTxn{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset, LastOffset: a.lastOffset, LastStable: a.lastStable})
			}
			more = a.lastStable < to
			return more
		})
		if err != nil || !more {
			return all, err
		}
	}
	return all, nil
}

// activeProducers returns the last record of each producer that is known.
func (l *Log) activeProducers() map[int64]retain.LastRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[int64]retain.LastRecord, len(l.producers.byID))
	for id, k := range l.producers.byID {
		last := retain.LastRecord{Offset: -1, Epoch: k.epoch}
		if n := len(k.batches); n > 0 {
			last.Offset = k.batches[n-1].LastOffset
		}
		all[id] = last
	}
	return all
}

// copyAll copies what stays of each group of segments.
func (p *pass) copyAll(ctx context.Context, taken int64) error {
	c := p.log.Config()
	p.copying = retain.CopyPass{
		Keys: p.keys, Taken: taken, Until: p.scope.Until, Now: p.now.UnixMilli(),
		DeleteRetentionMs: c.DeleteRetention.Milliseconds(), Producers: p.log.activeProducers(),
	}
	touched := 0
	for touched < len(p.segments) && p.segments[touched].base < taken {
		touched++
	}
	at := 0
	for _, n := range retain.Group(p.groupable(touched), retain.GroupLimits{
		Bytes: int64(c.SegmentBytes), IndexBytes: int64(c.SegmentIndexBytes), Offsets: maxRelativeOffset,
	}) {
		if err := p.copyGroup(ctx, at, at+n); err != nil {
			return err
		}
		at += n
	}
	return nil
}

func (p *pass) groupable(n int) []retain.GroupSegment {
	all := make([]retain.GroupSegment, n)
	for i, s := range p.segments[:n] {
		all[i] = retain.GroupSegment{
			BaseOffset: s.base, NextOffset: p.ends[i], Size: s.size.Load(),
			IndexBytes: int64(s.index.bytes()), TimeIndexBytes: int64(s.times.bytes()),
		}
	}
	return all
}

// copyGroup makes one segment of those from number from up to but not including
// to.
func (p *pass) copyGroup(ctx context.Context, from, to int) error {
	originals := p.segments[from:to]
	c := p.log.newCleaned(originals[0].base, p.worker.out, p.worker.size/2)
	err := c.create()
	p.withheld = false
	p.worker.writing = c
	defer func() { p.worker.writing = nil }()
	for i := from; i < to && err == nil; i++ {
		err = p.copySegment(ctx, p.segments[i], p.ends[i], c)
	}
	p.worker.out = c.buf[:0]
	switch {
	case err != nil:
		return p.log.undoSwap(c.segment, err)
	case len(originals) == 1 && !p.withheld:
		return p.log.undoSwap(c.segment, nil) // it would take its own place
	}
	if err := c.finish(); err != nil {
		return p.log.undoSwap(c.segment, err)
	}
	p.counts.BytesWritten += c.size.Load()
	return p.log.replace(originals, c.segment)
}

func (p *pass) copySegment(ctx context.Context, s *segment, end int64, c *cleaned) error {
	aborted, err := p.log.abortedBetween(s.base, end)
	if err != nil {
		return unreadable{err}
	}
	p.copying.Expect(aborted)
	return p.eachBatch(ctx, s, s.base, func(b record.Batch) error {
		p.counts.BytesRead += int64(len(b))
		p.counts.RecordsRead += int64(b.Count())
		return p.copyBatch(b, c)
	})
}

// copyBatch copies what stays of a batch.
func (p *pass) copyBatch(b record.Batch, c *cleaned) error {
	verdict, err := p.copying.Batch(b)
	if err != nil {
		return unreadable{err}
	}
	if verdict.Ended != nil {
		c.note(*verdict.Ended)
	}
	picked, filter := record.Picked{}, &p.worker.filter
	if verdict.Records {
		err := unfold(func(limit int) error {
			picked, err = filter.Pick(b, limit, func(r *record.Record) bool { return p.copying.Record(b, r) })
			return err
		})
		if err != nil {
			return unreadable{err}
		}
	}
	p.counts.RecordsKept += int64(picked.Count)
	from := len(c.buf)
	switch setHorizon := (verdict.SetHorizon || picked.Tombstones) && !b.Attributes().HasDeleteHorizon(); {
	case picked.Count == 0 && !verdict.Header:
		p.withheld = true
		return nil
	case picked.Count == 0 && b.Count() == 0:
		c.buf = append(c.buf, b...)
	case picked.Count == 0:
		p.withheld = true
		c.buf = record.AppendEmpty(c.buf, b)
	case picked.All && !setHorizon:
		c.buf = append(c.buf, b...)
	default:
		p.withheld = true
		if c.buf, err = filter.Append(c.buf, picked, setHorizon, p.copying.Horizon()); err != nil {
			return err
		}
	}
	return c.add(from)
}
