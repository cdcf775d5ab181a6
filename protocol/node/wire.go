package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var errMalformed = errors.New("a length leads beyond the end, or is one that nothing can have")

func appendInt16(dst []byte, v int16) []byte { return binary.BigEndian.AppendUint16(dst, uint16(v)) }
func appendInt32(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }
func appendInt64(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

// appendText appends a string. One that is longer than its length can say is a
// sentence that got out of hand, and is cut.
func appendText(dst []byte, s string) []byte {
	s = s[:min(len(s), math.MaxInt16)]
	return append(appendInt16(dst, int16(len(s))), s...)
}

func appendNullableText(dst []byte, s *string) []byte {
	if s == nil {
		return appendInt16(dst, -1)
	}
	return appendText(dst, *s)
}

// appendBlob appends bytes, of which a frame holds less than 2 GiB.
func appendBlob(dst, b []byte) []byte {
	return append(appendInt32(dst, int32(len(b))), b...)
}

func appendNullableBlob(dst, b []byte) []byte {
	if b == nil {
		return appendInt32(dst, -1)
	}
	return appendBlob(dst, b)
}

// reader reads one message. After the first thing that is wrong it has nothing left
// and reads zeros; end tells.
type reader struct {
	left  []byte
	wrong bool
}

// take returns the next n bytes, or nil where they are not there.
func (r *reader) take(n int) []byte {
	if r.wrong || n < 0 || n > len(r.left) {
		r.wrong, r.left = true, nil
		return nil
	}
	b := r.left[:n:n]
	r.left = r.left[n:]
	return b
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) text() string { return string(r.take(int(r.int16()))) }

func (r *reader) nullableText() *string {
	n := r.int16()
	if n == -1 {
		return nil
	}
	s := string(r.take(int(n)))
	return &s
}

func (r *reader) blob() []byte { return r.take(int(r.int32())) }

func (r *reader) nullableBlob() []byte {
	n := r.int32()
	if n == -1 {
		return nil
	}
	return r.take(int(n))
}

// count reads how many elements follow, each of which takes so many bytes at least.
func (r *reader) count(least int) int {
	n := int(r.int32())
	if n < 0 || n > len(r.left)/least {
		r.take(-1)
		return 0
	}
	return n
}

// end reports whether the message was sound.
func (r *reader) end(what string) error {
	if r.wrong {
		return fmt.Errorf("read a %s: %w", what, errMalformed)
	}
	return nil
}
