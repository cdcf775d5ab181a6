package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// printer appends one record to dst as a user wants to see it.
type printer func(dst []byte, r *kgo.Record) []byte

// newPrinter is a template's, or that of JSON lines.
func newPrinter(output, format string) (printer, error) {
	switch output {
	case "text":
		parsed, err := parseTemplate(format)
		return parsed.append, err
	case "json":
		return appendRecordJSON, nil
	}
	return nil, fmt.Errorf("--output %s: it is text or json; where to begin is --from", output)
}

// printedRecord is a record as a line of JSON. Of value and its base64 form
// there is one: text that is not UTF-8 cannot be a JSON string. Likewise for
// keys.
type printedRecord struct {
	Topic       string          `json:"topic"`
	Partition   int32           `json:"partition"`
	Offset      int64           `json:"offset"`
	Timestamp   int64           `json:"timestamp"` // Unix milliseconds
	Key         *string         `json:"key"`
	KeyBase64   []byte          `json:"key_base64,omitempty"`
	Value       *string         `json:"value"`
	ValueBase64 []byte          `json:"value_base64,omitempty"`
	Headers     []printedHeader `json:"headers"`
}

type printedHeader struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
}

func appendRecordJSON(dst []byte, r *kgo.Record) []byte {
	printed := printedRecord{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(),
		Headers: []printedHeader{},
	}
	printed.Key, printed.KeyBase64 = textOrBytes(r.Key)
	printed.Value, printed.ValueBase64 = textOrBytes(r.Value)
	for _, h := range r.Headers {
		header := printedHeader{Key: h.Key}
		header.Value, header.ValueBase64 = textOrBytes(h.Value)
		printed.Headers = append(printed.Headers, header)
	}
	line := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(line)
	encoder.SetEscapeHTML(false)
	must(encoder.Encode(printed))
	return line.Bytes()
}

// textOrBytes gives text where b is UTF-8, the bytes where it is not, and
// neither for null.
func textOrBytes(b []byte) (*string, []byte) {
	if b == nil {
		return nil, nil
	}
	if !utf8.Valid(b) {
		return nil, b
	}
	text := string(b)
	return &text, nil
}
