package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/klamm-io/klamm/protocol/record"
	"github.com/klamm-io/klamm/storage/disk"
)

// Finding is something wrong in a file.
type Finding struct {
	File     string // path
	Position int64  // in bytes
	Offset   int64  // the first offset that is affected, -1 where not known
	Problem  string
}

// Totals is what a verification looked at.
type Totals struct {
	Partitions int
	Segments   int
	Batches    int64
	Records    int64
	Bytes      int64
	Findings   int
}

// VerifyDir verifies every batch and index entry in a folder of logs, or in one
// partition's folder, or in one segment's .log file. It only reads, and may look
// at the folder of a running broker: what is being appended meanwhile is left
// out. Each finding is reported as it is found. The error says why the folder
// could not be read; findings are no error.
func VerifyDir(fsys disk.FS, path string, report func(Finding)) (Totals, error) {
	v := verification{fs: fsys, report: report}
	if strings.HasSuffix(path, ".log") {
		v.totals.Partitions = 1
		err := v.segment(path, true)
		return v.totals, err
	}
	entries, err := fsys.ReadDir(path)
	if err != nil {
		return v.totals, fmt.Errorf("verify %s: %w", path, err)
	}
	if len(segmentFiles(entries)) > 0 {
		err := v.partition(path, entries)
		return v.totals, err
	}
	for _, entry := range entries {
		if _, ok := parseFolderName(entry.Name()); !ok || !entry.IsDir() {
			continue
		}
		folder := filepath.Join(path, entry.Name())
		inside, err := fsys.ReadDir(folder)
		if err != nil {
			return v.totals, fmt.Errorf("verify %s: %w", folder, err)
		}
		if err := v.partition(folder, inside); err != nil {
			return v.totals, err
		}
	}
	return v.totals, nil
}

type verification struct {
	fs     disk.FS
	report func(Finding)
	totals Totals
}

// segmentFiles returns the names of the .log files, ascending.
func segmentFiles(entries []fs.DirEntry) []string {
	var names []string
	for _, entry := range entries {
		if stem, ok := strings.CutSuffix(entry.Name(), ".log"); ok && len(stem) == 20 {
			names = append(names, entry.Name())
		}
	}
	sort.Strings(names)
	return names
}

func (v *verification) partition(folder string, entries []fs.DirEntry) error {
	v.totals.Partitions++
	names := segmentFiles(entries)
	for i, name := range names {
		if err := v.segment(filepath.Join(folder, name), i+1 == len(names)); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) find(file string, position, offset int64, format string, args ...any) {
	v.totals.Findings++
	v.report(Finding{File: file, Position: position, Offset: offset, Problem: fmt.Sprintf(format, args...)})
}

// segment verifies one segment. The end of an active one may be half-written at
// the moment it is read.
func (v *verification) segment(path string, active bool) error {
	base, err := segmentBase(path)
	if err != nil {
		return err
	}
	file, err := v.fs.Open(path)
	if err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	v.totals.Segments++
	ends := batchEnds{}
	scan := newScanner(file, 0, size, base)
	var scratch record.Scratch
	for {
		at := scan.at
		batch, err := scan.next()
		if errors.Is(err, errEnd) {
			break
		}
		if err != nil && isDiskError(err) {
			return fmt.Errorf("verify %s at position %d: %w", path, at, err)
		}
		if err != nil {
			resumed := scan.resume()
			if !resumed && active && errors.Is(err, errGarbage) {
				break
			}
			v.find(path, at, scan.expect, "%v", err)
			if !resumed {
				break
			}
			continue
		}
		ends[at] = batch.LastOffset()
		v.batch(path, at, batch, &scratch)
	}
	return v.indexes(strings.TrimSuffix(path, ".log"), base, ends, scan.at)
}

// batchEnds leads from a batch's position to its last offset.
type batchEnds map[int64]int64

func (v *verification) batch(path string, at int64, b record.Batch, scratch *record.Scratch) {
	v.totals.Batches++
	v.totals.Records += int64(b.Count())
	v.totals.Bytes += int64(len(b))
	if b.Attributes().Control() {
		return
	}
	// Not Check: what compaction left of a batch has gaps, or no record at all.
	if err := b.Each(scratch, unfoldedMost, func(*record.Record) error { return nil }); err != nil {
		v.find(path, at, b.BaseOffset(), "%v", err)
	}
}

// indexes verifies that each entry leads to a batch that is there, if it leads
// below position to: what lies beyond was appended meanwhile. A missing index is
// no finding: it is made anew.
func (v *verification) indexes(stem string, base int64, ends batchEnds, to int64) error {
	offsets := newOffsetIndex(v.fs, stem, base)
	err := v.eachEntry(stem+".index", offsetEntryWidth, func(at int64, entry, before []byte) {
		offset, position := offsets.decode(entry)
		last, ok := ends[position]
		switch {
		case position >= to:
		case !ok || last != offset:
			v.find(stem+".index", at, offset, "entry for offset %d leads to position %d, where no batch ends with that offset", offset, position)
		case before != nil && binary.BigEndian.Uint32(before) >= binary.BigEndian.Uint32(entry):
			v.find(stem+".index", at, offset, "entry for offset %d does not follow the one before it", offset)
		}
	})
	if err != nil {
		return err
	}
	times := newTimeIndex(v.fs, stem, base)
	return v.eachEntry(stem+".timeindex", timeEntryWidth, func(at int64, entry, before []byte) {
		e := times.decode(entry)
		if before == nil {
			return
		}
		if b := times.decode(before); b.timestamp >= e.timestamp || b.offset >= e.offset {
			v.find(stem+".timeindex", at, e.offset, "entry for time %d does not follow the one before it", e.timestamp)
		}
	})
}

func (v *verification) eachEntry(path string, width int, visit func(at int64, entry, before []byte)) error {
	raw, err := v.fs.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	if len(raw)%width != 0 {
		v.find(path, int64(len(raw)/width*width), -1, "%d bytes are no whole number of %d-byte entries", len(raw), width)
	}
	var before []byte
	for at := 0; at+width <= len(raw); at += width {
		entry := raw[at : at+width]
		visit(int64(at), entry, before)
		before = entry
	}
	return nil
}

// segmentBase reads the base offset from the name of a segment's file.
func segmentBase(path string) (int64, error) {
	stem, _, _ := strings.Cut(filepath.Base(path), ".")
	base, err := strconv.ParseInt(stem, 10, 64)
	if err != nil || base < 0 || segmentName(base) != stem {
		return 0, fmt.Errorf("%s is no segment: its name should be 20 digits, the first offset it holds, and .log", path)
	}
	return base, nil
}

// DumpSegment calls each for every batch of a .log file, in order, and stops at
// the first that is not sound, with an error that says where. The batch is valid
// during the call.
func DumpSegment(fsys disk.FS, path string, each func(batch record.Batch, position int64) error) error {
	base, err := segmentBase(path)
	if err != nil {
		return err
	}
	file, err := fsys.Open(path)
	if err != nil {
		return fmt.Errorf("dump %s: %w", path, err)
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return fmt.Errorf("dump %s: %w", path, err)
	}
	for scan := newScanner(file, 0, size, base); ; {
		at := scan.at
		batch, err := scan.next()
		if errors.Is(err, errEnd) || errors.Is(err, errGarbage) && scan.nothingFollows() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("dump %s: position %d: %w", path, at, err)
		}
		if err := each(batch, at); err != nil {
			return err
		}
	}
}
