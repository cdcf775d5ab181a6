package log

import "sync"

// bookmarks remember where in which file the log ends, and where what is
// flushed ends: nearly every read stops at one of the two, and need not look
// for its position.
type bookmarks struct {
	mu sync.Mutex
	// Guarded by mu.
	end     bookmark
	flushed bookmark
}

// bookmark says that the batch with the given first offset begins, or will
// begin, at position in the segment that starts at base.
type bookmark struct{ offset, base, position int64 }

func (b *bookmarks) setEnd(m bookmark) {
	b.mu.Lock()
	b.end = m
	b.mu.Unlock()
}

func (b *bookmarks) getEnd() bookmark {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.end
}

func (b *bookmarks) setFlushed(m bookmark) {
	b.mu.Lock()
	b.flushed = m
	b.mu.Unlock()
}

// unflushed is how many bytes lie between the two, as far as one file tells; -1 where
// they lie in more.
func (b *bookmarks) unflushed() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end.base != b.flushed.base {
		return -1
	}
	return b.end.position - b.flushed.position
}

// forget says that the segments from base from up to but not including to are
// others now: positions in them mean nothing any more.
func (b *bookmarks) forget(from, to int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range [...]*bookmark{&b.end, &b.flushed} {
		if m.base >= from && m.base < to {
			m.position = 0
		}
	}
}

// position returns where offset begins in the segment that starts at base.
func (b *bookmarks) position(offset, base int64) (position int64, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range [...]bookmark{b.flushed, b.end} {
		if m.offset == offset && m.base == base && m.position > 0 {
			return m.position, true
		}
	}
	return 0, false
}
