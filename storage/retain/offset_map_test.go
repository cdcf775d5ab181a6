package retain

import (
	"encoding/binary"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

func TestOffsetMapIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := NewOffsetMap(1<<20, rapid.Float64Range(0.1, 1).Draw(t, "load"))
		want := map[string]int64{}
		for offset := range int64(rapid.IntRange(0, 3000).Draw(t, "puts")) {
			key := fmt.Sprint(rapid.IntRange(0, 2000).Draw(t, "key"))
			if !m.Put([]byte(key), offset) {
				t.Fatalf("no room for key %d", m.Len())
			}
			want[key] = offset
		}
		for i := range 2001 {
			key := fmt.Sprint(i)
			offset, known := want[key]
			if !known {
				offset = -1
			}
			if got := m.Get([]byte(key)); got != offset {
				t.Fatalf("key %s: offset %d, want %d", key, got, offset)
			}
		}
		if m.Len() != len(want) {
			t.Fatalf("%d keys, want %d", m.Len(), len(want))
		}
	})
}

// The map never holds more than it may, says when it is full, and still takes
// what is in it.
func TestOffsetMapIsBounded(t *testing.T) {
	for _, most := range []int64{0, 1 << 10, 1 << 20, 5 << 20} {
		m := NewOffsetMap(most, 0.9)
		key := binary.BigEndian.AppendUint64(nil, 0)
		n := uint64(0)
		for ; ; n++ {
			binary.BigEndian.PutUint64(key, n)
			if !m.Put(key, int64(n)) {
				break
			}
			if limit := max(most, 2*bytesOfSlot*mapStripes); m.Bytes() > limit {
				t.Fatalf("%d bytes for %d keys, it may hold %d", m.Bytes(), n, limit)
			}
		}
		if room := float64(most) / bytesOfSlot * 0.9; most >= 1<<20 && float64(n) < room*0.8 {
			t.Errorf("%d bytes: full with %d keys, %.0f should fit", most, n, room)
		}
		for i := range n {
			binary.BigEndian.PutUint64(key, i)
			if m.Get(key) != int64(i) || !m.Put(key, int64(i+1)) {
				t.Fatalf("%d bytes: key %d of %d is lost", most, i, n)
			}
		}
	}
}

func BenchmarkOffsetMap(b *testing.B) {
	m := NewOffsetMap(128<<20, 0.9)
	key := binary.BigEndian.AppendUint64([]byte("some-key-"), 0)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		binary.BigEndian.PutUint64(key[9:], i%1_000_000*0x9e3779b97f4a7c15)
		m.Put(key, int64(i))
	}
}
