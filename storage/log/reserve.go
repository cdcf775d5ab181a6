package log

import (
	"fmt"
	"time"

	"github.com/klamm-io/klamm/storage/disk"
)

// Room ahead of the end. A file that grows by each append has its blocks found with
// each flush, and its file system writes down each time where they are and how long
// the file is. So a segment that is appended to gets room ahead of its end, in steps,
// of one of two kinds.
//
// Where flushes are large, blocks are reserved: that costs nothing, and the file's size
// stays that of its records. Where they are small, zeros are written ahead: a flush
// that follows writes over blocks that are there already, in a file whose size stays
// as it is, so it writes the records and nothing besides. That halves what it takes.
// It costs each byte being written twice, which large flushes would feel.
//
// What a segment has too much it gives back when it is complete, and when the log is
// closed in order. Zeros it gives back, too, when nothing came for a moment: then the
// file is again what tools expect that read a live broker's, Apache's among them. After
// another stop the recovery finds zeros behind the last batch, and cuts them off.
const (
	reservedFrom = 1 << 20  // bytes below which a segment reserves nothing
	reservedMost = 16 << 20 // bytes beyond the end

	zeroedFrom  = 64 << 10  // bytes below which no zeros are written, at most
	zeroedMost  = 256 << 10 // bytes of zeros in one step: the flush that comes next writes them too
	zeroedPart  = 8         // of a segment's largest size that both of these are at most, so that small segments have them too
	zeroedTimes = 16        // as much as was written since room was made last is zeros, at most
	smallFlush  = 48 << 10  // bytes: where flushes have fewer, zeros are written, and they may carry more
	steadyFlow  = 16        // flushes without a pause before zeros are worth what they cost
	stillness   = time.Second
	diskSectors = 4 << 10 // zeros end where a multiple of it does
)

// room is how far a segment's file was made to reach beyond its records. The log's mu
// guards it.
type room struct {
	reserved int64 // up to where the file has blocks
	zeroed   bool  // it holds zeros there, and its size says so
	from     int64 // the end when room was made last
}

// reserve sees to it that there is room for the records up to position end: with as
// much beyond it again, so that nobody holds more than twice what he uses. Where the
// disk has no room, or the file system cannot reserve any, the write itself tells.
// The caller holds the log's mu.
func (s *segment) reserve(file disk.File, end int64, c *Config) {
	if end <= s.room.reserved {
		return
	}
	if c.FlushOnAck && s.flushes.Load() == 0 { // how large they are is to be seen yet
		s.room.from = max(s.room.from, s.size.Load())
		return
	}
	size := int64(c.SegmentBytes)
	if end >= min(zeroedFrom, size/zeroedPart) && s.flushesAreSmall(end, c) {
		if s.room.zeroed || s.flushes.Load() >= steadyFlow {
			s.writeZeros(file, end, min(2*end, end+min(zeroedMost, size/zeroedPart, zeroedTimes*(end-s.room.from)), max(end, size)))
		}
		return
	}
	if end < reservedFrom {
		return
	}
	s.room.reserved, s.room.zeroed = min(2*end, end+reservedMost, max(end, size)), false
	_ = file.Preallocate(s.room.reserved) // as good as not asked for, until so much is written
	s.noteRoom(end)
}

// flushesAreSmall reports whether those were that came since room was made last.
func (s *segment) flushesAreSmall(end int64, c *Config) bool {
	return c.FlushOnAck && end-s.room.from < smallFlush*s.flushes.Load()
}

func (s *segment) noteRoom(end int64) {
	s.room.from = end
	s.flushes.Store(0)
}

// zeros are what is written ahead.
var zeros [zeroedMost + diskSectors]byte

// writeZeros fills the file with zeros between two positions. Where that fails, as on a
// disk that is full, the records may still fit.
func (s *segment) writeZeros(file disk.File, from, to int64) {
	if whole := to / diskSectors * diskSectors; whole > from {
		to = whole
	}
	_, _ = file.WriteAt(zeros[:to-from], from)
	s.room.reserved, s.room.zeroed = to, true
	s.noteRoom(from)
}

// unreserve gives back what was reserved and not used. The caller holds the log's mu.
//
// Zeros are gone for good before anything relies on the file's end.
func (s *segment) unreserve() error {
	size := s.size.Load()
	if s.room.reserved <= size {
		s.room.zeroed = false
		return nil
	}
	file, err := s.records.acquire()
	if err != nil {
		return err
	}
	defer s.records.release()
	err = file.Truncate(size)
	if err == nil && s.room.zeroed {
		err = file.Sync()
	}
	if err != nil {
		return fmt.Errorf("give back what %s reserved: %w", s.records.name, err)
	}
	s.room = room{reserved: size}
	s.noteRoom(size)
	return nil
}

// noteZeros lets the folder look after a log that has zeros ahead of its end. The
// caller holds the log's mu.
func (l *Log) noteZeros() {
	if l.zeros {
		return
	}
	l.zeros = true
	l.dir.zeroedMu.Lock()
	defer l.dir.zeroedMu.Unlock()
	l.dir.zeroed = append(l.dir.zeroed, l)
}

// giveBackZeros lets the logs give back the zeros ahead of their end to which nothing
// was appended for a moment.
func (d *Dir) giveBackZeros(now time.Time) {
	d.zeroedMu.Lock()
	logs := d.zeroed
	d.zeroed = nil
	d.zeroedMu.Unlock()
	for _, l := range logs {
		if !l.giveBackZeros(now) {
			d.zeroedMu.Lock()
			d.zeroed = append(d.zeroed, l)
			d.zeroedMu.Unlock()
		}
	}
}

// giveBackZeros reports whether the log need not be looked after any more.
func (l *Log) giveBackZeros(now time.Time) (done bool) {
	if l.flowed(now) && !l.closed.Load() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.zeros = false
	s := l.active()
	if l.closed.Load() || l.Failed() != nil || !s.room.zeroed {
		return true
	}
	if err := s.unreserve(); err != nil {
		l.fail(err)
	}
	return true
}

// flowed reports whether something was flushed a moment ago, or is to be.
func (l *Log) flowed(now time.Time) bool {
	still := now.Sub(time.UnixMilli(l.lastFlush.Load()))
	return l.Flushed() < l.End() || still >= 0 && still < stillness // less than nothing where a clock was set back
}
