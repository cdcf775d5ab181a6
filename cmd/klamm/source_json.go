package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// jsonSource takes each line as a value that must be JSON; blank lines are left
// out. Key and timestamp may be fields of the object.
type jsonSource struct {
	lines          *lineReader
	keyField       string // empty: no key
	timestampField string // empty: now
	arena          arena
}

func (s *jsonSource) next() (*kgo.Record, error) {
	line, err := s.lines.next()
	for err == nil && len(bytes.TrimSpace(line)) == 0 {
		line, err = s.lines.next()
	}
	if err != nil {
		return nil, err
	}
	record, err := s.record(bytes.TrimSpace(line))
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", s.lines.line, err)
	}
	return record, nil
}

func (s *jsonSource) record(line []byte) (*kgo.Record, error) {
	if s.keyField == "" && s.timestampField == "" {
		if err := checkJSON(line); err != nil {
			return nil, err
		}
		return s.arena.record(nil, line), nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w. %s", err, oneALine)
	}
	key, err := fieldText(fields, s.keyField)
	if err != nil {
		return nil, err
	}
	record := s.arena.record(key, line)
	if s.timestampField != "" {
		text, err := fieldText(fields, s.timestampField)
		if err != nil {
			return nil, err
		}
		record.Timestamp, err = parseTimestamp(string(text))
		return record, err
	}
	return record, nil
}

// oneALine is what to do about JSON that goes over several lines.
const oneALine = "Each line is one object: `jq -c '.[]' FILE` makes such lines of an array"

// checkJSON says what is wrong with a line that is not one JSON value.
func checkJSON(line []byte) error {
	if json.Valid(line) {
		return nil
	}
	var value json.RawMessage
	return fmt.Errorf("not JSON: %w. %s", json.Unmarshal(line, &value), oneALine)
}

// fieldText is the text of a field: of a string what it says, of all else its
// JSON. Null, and an empty string, is nil: no key.
func fieldText(fields map[string]json.RawMessage, name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	value, found := fields[name]
	if !found {
		names := slices.Sorted(maps.Keys(fields))
		return nil, fmt.Errorf("there is no field %s.%s The fields are %s", name, didYouMean(name, names), strings.Join(names, ", "))
	}
	if string(value) == "null" {
		return nil, nil
	}
	if value[0] != '"' {
		return value, nil
	}
	var text string
	if err := json.Unmarshal(value, &text); err != nil || text == "" {
		return nil, err
	}
	return []byte(text), nil
}
