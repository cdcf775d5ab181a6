package log

import (
	"encoding/binary"
	"sync"

	"github.com/klamm-io/klamm/storage/disk"
)

// timeIndex leads from timestamps to offsets (the .timeindex file). An entry
// (t, o) says: no record before offset o is later than t, and the batch that
// ends at o has a record of time t. Entries are added beside those of the
// offset index, when the largest timestamp grew since the last.
type timeIndex struct {
	base int64

	mu sync.Mutex
	// Guarded by mu.
	entries entries
	newest  timeEntry // the largest timestamp seen, in an entry or not yet
	marked  timeEntry // the last entry
}

// timeEntry is a timestamp in milliseconds and the last offset of the batch
// that has it; -1 and -1 for none.
type timeEntry struct{ timestamp, offset int64 }

var noTime = timeEntry{timestamp: -1, offset: -1}

const timeEntryWidth = 12

func newTimeIndex(fs disk.FS, path string, base int64) timeIndex {
	return timeIndex{base: base, newest: noTime, marked: noTime, entries: newEntries(fs, path+".timeindex", timeEntryWidth)}
}

func (x *timeIndex) decode(entry []byte) timeEntry {
	return timeEntry{
		timestamp: int64(binary.BigEndian.Uint64(entry)),
		offset:    x.base + int64(int32(binary.BigEndian.Uint32(entry[8:]))),
	}
}

// note takes in a batch's largest timestamp and its last offset.
func (x *timeIndex) note(e timeEntry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.timestamp > x.newest.timestamp {
		x.newest = e
	}
}

// largest returns the largest timestamp noted.
func (x *timeIndex) largest() timeEntry {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.newest
}

// mark adds an entry for the largest timestamp, if there is none for it yet.
func (x *timeIndex) mark() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.newest.timestamp <= x.marked.timestamp || x.newest.offset <= x.marked.offset {
		return
	}
	var entry [timeEntryWidth]byte
	binary.BigEndian.PutUint64(entry[:], uint64(x.newest.timestamp))
	binary.BigEndian.PutUint32(entry[8:], uint32(x.newest.offset-x.base))
	x.entries.append(entry[:])
	x.marked = x.newest
}

// lookup returns the last entry whose timestamp is below the given one: every
// record at or after that time comes at or after the entry's offset.
func (x *timeIndex) lookup(timestamp int64) (timeEntry, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	entry, err := x.entries.search(func(entry []byte) bool { return x.decode(entry).timestamp >= timestamp })
	if err != nil || entry == nil {
		return noTime, err
	}
	return x.decode(entry), nil
}

// cutFrom forgets every entry for an offset at or beyond offset, and takes the
// largest timestamp from what remains.
func (x *timeIndex) cutFrom(offset int64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	keep := x.entries.len()
	for ; keep > 0; keep-- {
		entry, err := x.entries.at(keep - 1)
		if err != nil {
			return err
		}
		if x.decode(entry).offset < offset {
			break
		}
	}
	if err := x.entries.cut(keep); err != nil {
		return err
	}
	return x.rememberLast()
}

// rememberLast reads the last entry. The caller holds mu.
func (x *timeIndex) rememberLast() error {
	x.newest, x.marked = noTime, noTime
	if x.entries.len() == 0 {
		return nil
	}
	entry, err := x.entries.at(x.entries.len() - 1)
	if err != nil {
		return err
	}
	x.newest = x.decode(entry)
	x.marked = x.newest
	return nil
}

// each calls visit for every entry.
func (x *timeIndex) each(visit func(timeEntry)) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.each(func(entry []byte) { visit(x.decode(entry)) })
}

// load takes over a file of size bytes.
func (x *timeIndex) load(size int64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.entries.load(size); err != nil {
		return err
	}
	return x.rememberLast()
}

func (x *timeIndex) store() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.store()
}

func (x *timeIndex) sync() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.sync()
}

func (x *timeIndex) bytes() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.entries.len() * timeEntryWidth
}
