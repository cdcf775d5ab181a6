package retain

import (
	"hash/maphash"
	"math/bits"
)

// OffsetMap remembers for each key the last offset that it was put with, in
// bounded memory: it keeps 128 bits of a hash in place of the key. The hash has
// seeds of its own in each map, so nobody can choose keys that are taken for one
// another; by chance two of 10^9 keys are with a probability of 10^-21.
//
// The map grows with its keys, stripe by stripe, so that it never holds much more
// than they need. It belongs to one goroutine.
type OffsetMap struct {
	seeds   [2]maphash.Seed
	stripes [mapStripes]stripe
	most    int // slots that a stripe may have
	load    float64
	size    int
}

const (
	mapStripes  = 64
	firstSlots  = 64 // of a stripe
	bytesOfSlot = 24
)

// stripe is a table with open addressing.
type stripe struct {
	slots []slot
	used  int
}

type slot struct {
	hash   [2]uint64
	offset int64 // plus one; 0 in a slot that is free
}

// NewOffsetMap returns a map that takes at most maxBytes of memory, and of its
// slots fills at most the part that load says: above 0, at most 1.
func NewOffsetMap(maxBytes int64, load float64) *OffsetMap {
	return &OffsetMap{
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		most:  int(max(2, maxBytes/bytesOfSlot/mapStripes)),
		load:  min(max(load, 0.01), 1),
	}
}

// Put remembers the offset for key, in place of an earlier one. It reports false
// where the map has no room for another key.
func (m *OffsetMap) Put(key []byte, offset int64) bool {
	h := m.hash(key)
	s := &m.stripes[h[0]%mapStripes]
	if at := s.find(h); at >= 0 && s.slots[at].offset != 0 {
		s.slots[at].offset = offset + 1
		return true
	}
	if s.used >= s.limit(m.load) && !m.grow(s) {
		return false
	}
	s.slots[s.find(h)] = slot{h, offset + 1}
	s.used++
	m.size++
	return true
}

// Get returns the offset that key was last put with, -1 where it never was.
func (m *OffsetMap) Get(key []byte) int64 {
	h := m.hash(key)
	s := &m.stripes[h[0]%mapStripes]
	at := s.find(h)
	if at < 0 {
		return -1
	}
	return s.slots[at].offset - 1
}

// Len is how many keys the map holds.
func (m *OffsetMap) Len() int { return m.size }

// Bytes is the memory that the map holds.
func (m *OffsetMap) Bytes() int64 {
	slots := 0
	for i := range m.stripes {
		slots += len(m.stripes[i].slots)
	}
	return int64(slots) * bytesOfSlot
}

// Used is the part of the map's most memory that its keys fill, 0 to 1.
func (m *OffsetMap) Used() float64 { return float64(m.size) / float64(m.most*mapStripes) }

func (m *OffsetMap) hash(key []byte) [2]uint64 {
	return [2]uint64{maphash.Bytes(m.seeds[0], key), maphash.Bytes(m.seeds[1], key)}
}

// limit is how many slots may be used; one at least stays free, where searches
// end.
func (s *stripe) limit(load float64) int {
	return min(int(float64(len(s.slots))*load), len(s.slots)-1)
}

// find returns the slot that holds h or, if none does, the free one where it
// belongs; -1 where there are no slots.
func (s *stripe) find(h [2]uint64) int {
	n := len(s.slots)
	if n == 0 {
		return -1
	}
	high, _ := bits.Mul64(h[1], uint64(n))
	for at := int(high); ; {
		if it := &s.slots[at]; it.offset == 0 || it.hash == h {
			return at
		}
		if at++; at == n {
			at = 0
		}
	}
}

// grow doubles a stripe until it has room, as far as it may.
func (m *OffsetMap) grow(s *stripe) bool {
	for s.used >= s.limit(m.load) {
		n := min(max(firstSlots, 2*len(s.slots)), m.most)
		if n <= len(s.slots) {
			return false
		}
		s.resize(n)
	}
	return true
}

func (s *stripe) resize(n int) {
	old := s.slots
	s.slots = make([]slot, n)
	for _, it := range old {
		if it.offset != 0 {
			s.slots[s.find(it.hash)] = it
		}
	}
}
