package audit

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/klamm-io/klamm/storage/disk"
)

// Finding is something that is wrong with a log.
type Finding struct {
	File    string
	Line    int // from 1 on; 0: the file itself
	Problem string
}

// Totals are what a log has.
type Totals struct {
	Files   int
	Lines   int64
	Missing int64  // events that the broker itself says are missing
	First   int64  // number of the first line; over 0 where older files were removed
	Last    int64  // number of the last line, -1 for none
	Digest  string // of the last line
}

// Verify reads a log, and tells of every line that was changed, or that does not follow
// on the one before it. What is missing at its end it cannot know: that shows by the
// digest of a line that was noted elsewhere, for each of which in order saw is called.
func Verify(fsys disk.FS, dir string, found func(Finding), saw func(digest string)) (t Totals, err error) {
	names, err := fileNames(fsys, dir)
	if err != nil {
		return t, err
	}
	v := verification{found: found, saw: saw}
	v.Last = -1
	for _, name := range names {
		text, err := fsys.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return v.Totals, fmt.Errorf("read the audit log: %w", err)
		}
		v.file(name, text)
	}
	return v.Totals, nil
}

// verification is how far a log was read.
type verification struct {
	Totals
	found func(Finding)
	saw   func(string)
}

func (v *verification) file(name string, text []byte) {
	v.Files++
	for n := 1; len(text) > 0; n++ {
		one, rest, whole := bytes.Cut(text, []byte("\n"))
		text = rest
		if !whole {
			v.found(Finding{name, n, "ends in the middle: it was cut off"})
			return
		}
		if problem := v.line(one); problem != "" {
			v.found(Finding{name, n, problem})
		}
	}
}

// line takes the next line up, and says what is wrong with it.
func (v *verification) line(one []byte) (problem string) {
	v.Lines++
	r, err := parse(one)
	if err != nil {
		v.Last++ // it stands in for the line that was there
		v.Digest = r.Unmapped.Digest
		return err.Error()
	}
	sequence, first := *r.Metadata.Sequence, v.Lines == 1
	switch {
	case first:
		v.First = sequence
		if sequence == 0 && r.Unmapped.Previous != start {
			problem = "says that another was before it, and is the first"
		}
	case sequence != v.Last+1:
		problem = fmt.Sprintf("has the number %d and follows on %d: lines between them are missing", sequence, v.Last)
	case r.Unmapped.Previous != v.Digest:
		problem = "does not follow on the line before it: that is another than was there"
	}
	v.Last, v.Digest = sequence, r.Unmapped.Digest
	v.Missing += r.Count
	v.saw(r.Unmapped.Digest)
	return problem
}
