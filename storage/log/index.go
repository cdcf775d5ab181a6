package log

import (
	"encoding/binary"
	"math"
	"sync"

	"github.com/klamm-io/klamm/storage/disk"
)

// offsetIndex leads from offsets to positions in a segment's file: an entry for
// every index.interval.bytes or so, which names a batch's last offset and the
// position where that batch begins (the .index file).
type offsetIndex struct {
	base int64

	mu      sync.Mutex
	entries entries // guarded by mu
}

const offsetEntryWidth = 8

func newOffsetIndex(fs disk.FS, path string, base int64) offsetIndex {
	return offsetIndex{base: base, entries: newEntries(fs, path+".index", offsetEntryWidth)}
}

func (x *offsetIndex) decode(entry []byte) (offset, position int64) {
	return x.base + int64(int32(binary.BigEndian.Uint32(entry))), int64(int32(binary.BigEndian.Uint32(entry[4:])))
}

// append adds the batch at position, whose last offset is given. Both grow.
func (x *offsetIndex) append(offset, position int64) {
	var entry [offsetEntryWidth]byte
	binary.BigEndian.PutUint32(entry[:], uint32(offset-x.base))
	binary.BigEndian.PutUint32(entry[4:], uint32(position))
	x.mu.Lock()
	defer x.mu.Unlock()
	x.entries.append(entry[:])
}

// lookup returns the last offset and the position of the last indexed batch that ends
// at or before offset, the base and 0 where there is none.
func (x *offsetIndex) lookup(offset int64) (last, position int64, err error) {
	return x.search(func(o, _ int64) bool { return o > offset })
}

// before returns the position of the last indexed batch that begins at or
// before limit, 0 where there is none.
func (x *offsetIndex) before(limit int64) (position int64, err error) {
	_, position, err = x.search(func(_, p int64) bool { return p > limit })
	return position, err
}

func (x *offsetIndex) search(after func(offset, position int64) bool) (offset, position int64, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	entry, err := x.entries.search(func(entry []byte) bool { return after(x.decode(entry)) })
	if err != nil || entry == nil {
		return x.base, 0, err
	}
	offset, position = x.decode(entry)
	return offset, max(position, 0), nil // a damaged entry may say what is none: the start is always before
}

// last returns the position of the last indexed batch, 0 where there is none.
func (x *offsetIndex) last() (position int64, err error) { return x.before(math.MaxInt64) }

// cutFrom forgets every entry for a position at or beyond position.
func (x *offsetIndex) cutFrom(position int64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	keep := x.entries.len()
	for ; keep > 0; keep-- {
		entry, err := x.entries.at(keep - 1)
		if err != nil {
			return err
		}
		if _, p := x.decode(entry); p < position {
			break
		}
	}
	return x.entries.cut(keep)
}

// each calls visit for every entry.
func (x *offsetIndex) each(visit func(offsetEntry)) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.each(func(entry []byte) {
		offset, position := x.decode(entry)
		visit(offsetEntry{last: offset, position: position})
	})
}

func (x *offsetIndex) load(size int64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.load(size)
}

func (x *offsetIndex) store() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.store()
}

func (x *offsetIndex) sync() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.sync()
}

func (x *offsetIndex) bytes() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.len() * offsetEntryWidth
}
