package log

import (
	"encoding/binary"
	"sort"
	"testing"

	"github.com/klamm-io/klamm/storage/disk"
)

// TestRecentEntriesAreFoundInMemory: who looks near the end of an index reads no file.
func TestRecentEntriesAreFoundInMemory(t *testing.T) {
	e := newEntries(disk.NewMemory(), "entries", 8)
	const count = 5 * entriesInMemory
	for i := range uint64(count) {
		e.append(binary.BigEndian.AppendUint64(nil, 10*i))
	}
	for _, limit := range []uint64{uint64(10*e.first) - 1, 1234, 1, 0} {
		expectLast(t, &e, limit)
	}
	e.retire() // the file cannot be read any more
	for _, limit := range []uint64{10*count + 3, 10*count - 10, uint64(10*e.first) + 1, uint64(10 * e.first)} {
		expectLast(t, &e, limit)
	}
}

// expectLast looks for the last entry that is at most limit; each is ten more than
// the one before, from 0 on.
func expectLast(t *testing.T, e *entries, limit uint64) {
	t.Helper()
	got, err := e.search(func(entry []byte) bool { return binary.BigEndian.Uint64(entry) > limit })
	if err != nil {
		t.Fatal(err)
	}
	n := sort.Search(e.len(), func(i int) bool { return uint64(10*i) > limit })
	if binary.BigEndian.Uint64(got) != uint64(10*(n-1)) {
		t.Errorf("up to %d: found %d, want %d", limit, binary.BigEndian.Uint64(got), 10*(n-1))
	}
}
