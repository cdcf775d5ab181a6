package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// streamRows is after how many rows a streamed table is aligned and printed.
const streamRows = 1000

// stream is a listing too long to hold in memory: it prints rows as they come.
// What it prints is what show prints, but that a table is aligned by pieces.
type stream struct {
	out    io.Writer
	format outputFormat
	count  int
	table  *table
}

func (e *environment) stream(format outputFormat, header ...string) *stream {
	return &stream{out: e.out, format: format, table: newTable(header...)}
}

// add prints one row: cells in a table, v for programs.
func (s *stream) add(v any, cells ...any) error {
	s.count++
	switch s.format {
	case "json":
		return s.addJSON(v)
	case "yaml":
		return writeYAML(s.out, []any{v})
	}
	s.table.add(cells...)
	if len(s.table.rows) >= streamRows {
		return s.flush()
	}
	return nil
}

func (s *stream) addJSON(v any) error {
	before := ",\n  "
	if s.count == 1 {
		before = "[\n  "
	}
	if _, err := io.WriteString(s.out, before); err != nil {
		return err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("  ", "  ")
	if err := encoder.Encode(v); err != nil {
		return err
	}
	_, err := s.out.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
	return err
}

// flush prints the rows of a table that wait for alignment.
func (s *stream) flush() error {
	if s.format != "table" || s.table.header == nil && len(s.table.rows) == 0 {
		return nil
	}
	err := s.table.write(s.out)
	s.table = &table{}
	return err
}

// close ends the listing.
func (s *stream) close() error {
	var err error
	switch {
	case s.format == "table":
		err = s.flush()
	case s.count == 0:
		_, err = fmt.Fprintln(s.out, "[]")
	case s.format == "json":
		_, err = fmt.Fprint(s.out, "\n]\n")
	}
	return err
}
