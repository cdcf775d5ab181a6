package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/internal/quantity"
)

// maxLine bounds a line of input, so that a file that has none does not take
// all memory. No broker accepts a record as large by default.
const maxLine = 100 << 20

// source yields records until io.EOF. Other errors say which line is wrong and
// why. Each record's memory is its own.
type source interface {
	next() (*kgo.Record, error)
}

// lineReader reads lines and counts them.
type lineReader struct {
	scanner *bufio.Scanner
	line    int // number of the line that next gave last
}

func newLineReader(r io.Reader) *lineReader {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 256<<10), maxLine)
	scanner.Split(splitLine)
	return &lineReader{scanner: scanner}
}

// splitLine cuts at line feeds only: a carriage return belongs to the record.
func splitLine(data []byte, atEnd bool) (advance int, line []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEnd && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// next gives the next line without its end; it is valid until the next call.
func (r *lineReader) next() ([]byte, error) {
	if r.scanner.Scan() {
		r.line++
		return r.scanner.Bytes(), nil
	}
	err := r.scanner.Err()
	switch {
	case err == nil:
		return nil, io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("line %d is longer than %s", r.line+1, quantity.Bytes(maxLine))
	}
	return nil, fmt.Errorf("line %d: %w", r.line+1, err)
}

// arena hands out memory for records in large pieces: one allocation serves
// hundreds of them. A piece lives as long as any record in it.
type arena struct {
	bytes   []byte
	records []kgo.Record
}

const (
	arenaBytes   = 64 << 10
	arenaRecords = 256
)

// keep copies b; nil stays nil.
func (a *arena) keep(b []byte) []byte {
	if b == nil {
		return nil
	}
	if len(b) > cap(a.bytes)-len(a.bytes) {
		a.bytes = make([]byte, 0, max(arenaBytes, len(b)))
	}
	start := len(a.bytes)
	a.bytes = append(a.bytes, b...)
	return a.bytes[start:len(a.bytes):len(a.bytes)]
}

// record copies key and value into a new record.
func (a *arena) record(key, value []byte) *kgo.Record {
	if len(a.records) == 0 {
		a.records = make([]kgo.Record, arenaRecords)
	}
	r := &a.records[0]
	a.records = a.records[1:]
	r.Key, r.Value = a.keep(key), a.keep(value)
	return r
}

// lineSource takes each line as a value, or as key and value where there is a
// separator and the line has it.
type lineSource struct {
	lines     *lineReader
	separator []byte
	arena     arena
}

func (s *lineSource) next() (*kgo.Record, error) {
	line, err := s.lines.next()
	if err != nil {
		return nil, err
	}
	if len(s.separator) > 0 {
		if key, value, found := bytes.Cut(line, s.separator); found {
			return s.arena.record(key, value), nil
		}
	}
	return s.arena.record(nil, line), nil
}

// parseTimestamp reads the timestamp of a record: RFC 3339, or Unix time in
// milliseconds.
func parseTimestamp(text string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: it is RFC 3339, as 2013-01-01T10:00:00Z, or Unix milliseconds", text)
}
