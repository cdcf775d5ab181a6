package log

import (
	"fmt"

	"github.com/klamm-io/klamm/storage/disk"
)

// Reserved room. A file that grows by each append has its blocks found with each
// flush, and its file system writes down each time where they are. So a segment that
// is appended to asks for room ahead of its end, in steps; the file's size stays that
// of its records. What a segment has too much it gives back when it is complete, and
// when the log is closed in order.
const (
	reservedFrom = 1 << 20  // bytes below which a segment reserves nothing
	reservedMost = 16 << 20 // bytes beyond the end
)

// reserve sees to it that there is room for the records up to position end: with as
// much beyond it again, so that nobody holds more than twice what he uses. Where the
// disk has no room, or the file system cannot reserve any, the write itself tells.
// The caller holds the log's mu.
func (s *segment) reserve(file disk.File, end int64, c *Config) {
	if end <= s.reserved || end < reservedFrom {
		return
	}
	most := max(end, int64(c.SegmentBytes))
	s.reserved = min(2*end, end+reservedMost, most)
	_ = file.Preallocate(s.reserved) // as good as not asked for, until so much is written
}

// unreserve gives back what was reserved and not used. The caller holds the log's mu.
func (s *segment) unreserve() error {
	size := s.size.Load()
	if s.reserved <= size {
		return nil
	}
	file, err := s.records.acquire()
	if err != nil {
		return err
	}
	defer s.records.release()
	if err := file.Truncate(size); err != nil {
		return fmt.Errorf("give back what %s reserved: %w", s.records.name, err)
	}
	s.reserved = size
	return nil
}
