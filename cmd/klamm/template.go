package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// template prints records as a text with escapes says, which are those of kcat;
// %v is rpk's name for the value.
type template []piece

// piece appends one part of a record to dst.
type piece func(dst []byte, r *kgo.Record) []byte

// placeholders are the escapes that begin with %.
var placeholders = map[byte]piece{
	't': func(dst []byte, r *kgo.Record) []byte { return append(dst, r.Topic...) },
	'p': func(dst []byte, r *kgo.Record) []byte { return strconv.AppendInt(dst, int64(r.Partition), 10) },
	'o': func(dst []byte, r *kgo.Record) []byte { return strconv.AppendInt(dst, r.Offset, 10) },
	'k': func(dst []byte, r *kgo.Record) []byte { return append(dst, r.Key...) },
	's': appendValue,
	'v': appendValue,
	'K': func(dst []byte, r *kgo.Record) []byte { return appendLength(dst, r.Key) },
	'S': func(dst []byte, r *kgo.Record) []byte { return appendLength(dst, r.Value) },
	'T': func(dst []byte, r *kgo.Record) []byte { return strconv.AppendInt(dst, r.Timestamp.UnixMilli(), 10) },
	'h': appendHeaders,
	'%': func(dst []byte, _ *kgo.Record) []byte { return append(dst, '%') },
}

// parseTemplate reads a template such as `%t-%p@%o: %k=%s\n`.
func parseTemplate(text string) (template, error) {
	var t template
	for text != "" {
		literal, rest, found := strings.Cut(text, "%")
		plain, err := unescape(literal)
		if err != nil {
			return nil, err
		}
		if len(plain) > 0 {
			t = append(t, func(dst []byte, _ *kgo.Record) []byte { return append(dst, plain...) })
		}
		if !found {
			break
		}
		if rest == "" {
			return nil, errors.New("it ends with a single %: write %% for a percent sign")
		}
		placeholder, known := placeholders[rest[0]]
		if !known {
			return nil, fmt.Errorf("%%%c is unknown: there are %%t topic, %%p partition, %%o offset, %%k key, %%s or %%v value, "+
				"%%K and %%S their lengths, %%T timestamp, %%h headers, and %%%% for a percent sign", rest[0])
		}
		t = append(t, placeholder)
		text = rest[1:]
	}
	return t, nil
}

// append prints one record.
func (t template) append(dst []byte, r *kgo.Record) []byte {
	for _, piece := range t {
		dst = piece(dst, r)
	}
	return dst
}

func appendValue(dst []byte, r *kgo.Record) []byte { return append(dst, r.Value...) }

// appendLength appends a length in bytes, -1 for null.
func appendLength(dst, b []byte) []byte {
	if b == nil {
		return append(dst, "-1"...)
	}
	return strconv.AppendInt(dst, int64(len(b)), 10)
}

func appendHeaders(dst []byte, r *kgo.Record) []byte {
	for i, h := range r.Headers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, h.Key...)
		dst = append(dst, '=')
		dst = append(dst, h.Value...)
	}
	return dst
}

// unescape resolves \n, \r, \t, \\ and \xNN.
func unescape(text string) ([]byte, error) {
	plain := make([]byte, 0, len(text))
	for {
		before, rest, found := strings.Cut(text, `\`)
		plain = append(plain, before...)
		if !found {
			return plain, nil
		}
		b, size, err := escaped(rest)
		if err != nil {
			return nil, err
		}
		plain = append(plain, b)
		text = rest[size:]
	}
}

// escaped reads what stands after a backslash: its byte and how long it is.
func escaped(text string) (b byte, size int, err error) {
	if text == "" {
		return 0, 0, errors.New(`it ends with a single \: write \\ for a backslash`)
	}
	switch text[0] {
	case 'n':
		return '\n', 1, nil
	case 'r':
		return '\r', 1, nil
	case 't':
		return '\t', 1, nil
	case '\\':
		return '\\', 1, nil
	case 'x':
		if len(text) >= 3 {
			if n, err := strconv.ParseUint(text[1:3], 16, 8); err == nil {
				return byte(n), 3, nil
			}
		}
		return 0, 0, fmt.Errorf(`\%.3s: two hexadecimal digits follow \x`, text)
	}
	return 0, 0, fmt.Errorf(`\%c is unknown: there are \n, \r, \t, \xNN and \\`, text[0])
}
