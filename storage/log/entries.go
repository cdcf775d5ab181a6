package log

import (
	"fmt"
	"slices"
	"sort"

	"github.com/klamm-io/klamm/storage/disk"
)

// Entries are written to their file in groups, and the newest stay in memory,
// where readers near the log's end find them.
const (
	entriesUnstored = 512
	entriesInMemory = 1024
)

// entries is a file of entries of one width: what both indexes are made of. Its
// owner guards it.
type entries struct {
	handle
	width int

	stored int    // entries in the file
	first  int    // number of the first entry in recent
	recent []byte // entries from first on
}

func newEntries(fs disk.FS, name string, width int) entries {
	return entries{handle: handle{fs: fs, name: name}, width: width}
}

// load takes over a file of size bytes.
func (e *entries) load(size int64) error {
	if size%int64(e.width) != 0 {
		return fmt.Errorf("%s: %d bytes are no whole number of %d-byte entries", e.name, size, e.width)
	}
	e.stored = int(size) / e.width
	e.first, e.recent = e.stored, nil
	return nil
}

// takeOver makes the entries of another file this one's, and its open file.
func (e *entries) takeOver(other *entries) {
	e.stored, e.first, e.recent = other.stored, other.first, other.recent
	e.handle.takeOver(&other.handle)
}

func (e *entries) len() int { return e.first + len(e.recent)/e.width }

// at returns entry i. The result is valid until the next change.
func (e *entries) at(i int) ([]byte, error) {
	if i >= e.first {
		from := (i - e.first) * e.width
		return e.recent[from : from+e.width], nil
	}
	file, err := e.acquire()
	if err != nil {
		return nil, err
	}
	defer e.release()
	entry := make([]byte, e.width)
	if _, err := file.ReadAt(entry, int64(i)*int64(e.width)); err != nil {
		return nil, fmt.Errorf("read entry %d of %s: %w", i, e.name, err)
	}
	return entry, nil
}

// each calls visit for every entry.
func (e *entries) each(visit func(entry []byte)) error {
	stored := make([]byte, e.first*e.width)
	if len(stored) > 0 {
		file, err := e.acquire()
		if err != nil {
			return err
		}
		defer e.release()
		if n, err := file.ReadAt(stored, 0); n < len(stored) {
			return fmt.Errorf("read %s: %w", e.name, err)
		}
	}
	for _, all := range [][]byte{stored, e.recent} {
		for entry := range slices.Chunk(all, e.width) {
			visit(entry)
		}
	}
	return nil
}

// search returns the last entry for which after is false, nil if there is none.
// Entries for which it is true must follow all for which it is false.
func (e *entries) search(after func(entry []byte) bool) ([]byte, error) {
	var failed error
	from := 0
	if len(e.recent) > 0 && !after(e.recent[:e.width]) {
		from = e.first // no need to look into the file
	}
	n := from + sort.Search(e.len()-from, func(i int) bool {
		entry, err := e.at(from + i)
		if err != nil {
			failed = err
			return true
		}
		return after(entry)
	})
	if failed != nil || n == 0 {
		return nil, failed
	}
	return e.at(n - 1)
}

// append adds an entry, and stores some where many wait for it. What cannot be
// stored now stays in memory and is tried again with the next: a full disk that
// refuses index entries refuses records too, so they do not pile up.
func (e *entries) append(entry []byte) {
	e.recent = append(e.recent, entry...)
	if e.len()-e.stored >= entriesUnstored {
		_ = e.store()
	}
}

// store writes to the file what is not there yet.
func (e *entries) store() error {
	if e.stored == e.len() {
		return nil
	}
	file, err := e.acquire()
	if err != nil {
		return err
	}
	defer e.release()
	from := (e.stored - e.first) * e.width
	if _, err := file.WriteAt(e.recent[from:], int64(e.stored)*int64(e.width)); err != nil {
		return fmt.Errorf("write %s: %w", e.name, err)
	}
	e.stored = e.len()
	if surplus := len(e.recent)/e.width - entriesInMemory; surplus > 0 {
		e.first += surplus
		e.recent = append([]byte(nil), e.recent[surplus*e.width:]...)
	}
	return nil
}

// sync stores everything and makes it durable.
func (e *entries) sync() error {
	if err := e.store(); err != nil {
		return err
	}
	file, err := e.acquire()
	if err != nil {
		return err
	}
	defer e.release()
	if err := file.Sync(); err != nil {
		return fmt.Errorf("flush %s: %w", e.name, err)
	}
	return nil
}

// cut forgets all entries from number n on.
func (e *entries) cut(n int) error {
	if n >= e.len() {
		return nil
	}
	e.recent = e.recent[:max(0, n-e.first)*e.width]
	e.first = min(e.first, n)
	if n >= e.stored {
		return nil
	}
	e.stored = n
	file, err := e.acquire()
	if err != nil {
		return err
	}
	defer e.release()
	if err := file.Truncate(int64(n) * int64(e.width)); err != nil {
		return fmt.Errorf("truncate %s: %w", e.name, err)
	}
	return nil
}
