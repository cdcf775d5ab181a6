package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/klamm-io/klamm/internal/quantity"
)

// csvSource takes each row as a JSON object, whose names are those of the
// header row. Plain decimal numbers become numbers, all else strings.
type csvSource struct {
	reader    *csv.Reader
	names     [][]byte // "name": of each column, as JSON wants it
	key       int      // column of the key, or -1
	timestamp int      // column of the timestamp, or -1
	value     []byte   // scratch
	arena     arena
}

// newCSVSource reads the header row. keyField and timestampField may be empty.
func newCSVSource(r io.Reader, keyField, timestampField string) (*csvSource, error) {
	reader := csv.NewReader(r)
	reader.ReuseRecord = true
	header, err := reader.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("it is empty: CSV begins with a row of names")
	case err != nil:
		return nil, err
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	s := &csvSource{reader: reader}
	if s.key, err = column(header, keyField); err != nil {
		return nil, err
	}
	if s.timestamp, err = column(header, timestampField); err != nil {
		return nil, err
	}
	for _, name := range header {
		s.names = append(s.names, append(appendJSONString(nil, name), ':'))
	}
	return s, nil
}

// column finds a name in the header; -1 where no name is asked for.
func column(header []string, name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if i := slices.Index(header, name); i >= 0 {
		return i, nil
	}
	return -1, fmt.Errorf("there is no column %s.%s The columns are %s", name, didYouMean(name, header), strings.Join(header, ", "))
}

// next gives the next row. An empty key field is no key, so that such rows
// spread over all partitions.
func (s *csvSource) next() (*kgo.Record, error) {
	row, err := s.reader.Read()
	switch {
	case errors.Is(err, csv.ErrFieldCount):
		line, _ := s.reader.FieldPos(0)
		return nil, fmt.Errorf("line %d: it has %s, the first line %d", line, quantity.Counted(int64(len(row)), "field", "fields"), len(s.names))
	case err != nil:
		return nil, err
	}
	s.value = s.appendObject(s.value[:0], row)
	var key []byte
	if s.key >= 0 && row[s.key] != "" {
		key = []byte(row[s.key])
	}
	record := s.arena.record(key, s.value)
	if s.timestamp >= 0 {
		record.Timestamp, err = s.time(row)
	}
	return record, err
}

func (s *csvSource) time(row []string) (time.Time, error) {
	at, err := parseTimestamp(row[s.timestamp])
	if err != nil {
		line, _ := s.reader.FieldPos(s.timestamp)
		return at, fmt.Errorf("line %d: %w", line, err)
	}
	return at, nil
}

func (s *csvSource) appendObject(dst []byte, row []string) []byte {
	dst = append(dst, '{')
	for i, field := range row {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, s.names[i]...)
		if isPlainNumber(field) {
			dst = append(dst, field...)
			continue
		}
		dst = appendJSONString(dst, field)
	}
	return append(dst, '}')
}

// isPlainNumber says whether a field can be a JSON number without loss: no
// exponent, no leading zero (it is then a code, as a postcode), and no more
// digits than a double holds.
func isPlainNumber(field string) bool {
	digits := strings.TrimPrefix(field, "-")
	if len(digits) == 0 || len(digits) > 16 {
		return false
	}
	whole, fraction, point := strings.Cut(digits, ".")
	if !allDigits(whole) || len(whole) > 1 && whole[0] == '0' || len(whole)+len(fraction) > 15 {
		return false
	}
	return !point || allDigits(fraction)
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// appendJSONString appends s in quotes. Nearly all text needs no escapes.
func appendJSONString(dst []byte, s string) []byte {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) < 0 {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	var quoted bytes.Buffer
	encoder := json.NewEncoder(&quoted)
	encoder.SetEscapeHTML(false)
	must(encoder.Encode(s))
	return append(dst, bytes.TrimSuffix(quoted.Bytes(), []byte("\n"))...)
}
