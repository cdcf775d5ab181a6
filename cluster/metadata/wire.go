package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// recordVersion is the version that every record type has so far. A version
// adds fields at the end; readable is the lowest version whose reader
// understands the record when it skips what comes after the fields it knows.
const (
	recordVersion  = 0
	readableFrom   = 0
	recordOverhead = 3
)

// Encode appends r to dst.
func Encode(dst []byte, r Record) []byte {
	e := encoder{buf: append(dst, byte(r.kind()), recordVersion, readableFrom)}
	r.encode(&e)
	return e.buf
}

// Decode reads one record, which must fill b. The result shares no memory
// with b.
func Decode(b []byte) (Record, error) { return NewDecoder().Record(b) }

// Decoder reads records that share the memory of their lists where these are
// equal: brokers hold partitions in few different orders.
type Decoder struct{ lists sharedLists }

// NewDecoder returns a decoder that has read nothing. Its memory grows with the
// number of different lists.
func NewDecoder() *Decoder { return &Decoder{lists: sharedLists{}} }

// Record reads one record as [Decode] does.
func (s *Decoder) Record(b []byte) (Record, error) {
	if len(b) < recordOverhead {
		return nil, fmt.Errorf("metadata record of %d bytes: shorter than its header", len(b))
	}
	r := newRecord(recordType(b[0]))
	if r == nil {
		return nil, fmt.Errorf("metadata record of type %d: not known to this version of Klamm; start the newer version that wrote it", b[0])
	}
	if b[2] > recordVersion {
		return nil, fmt.Errorf("%T of version %d: not readable below version %d, this version of Klamm knows %d; start the newer version that wrote it", r, b[1], b[2], recordVersion)
	}
	d := decoder{buf: b[recordOverhead:], lists: s.lists}
	r.decode(&d)
	if d.err == nil && len(d.buf) > 0 && b[1] == recordVersion {
		d.err = fmt.Errorf("%d bytes too many", len(d.buf))
	}
	if d.err != nil {
		return nil, fmt.Errorf("%T: %w", r, d.err)
	}
	return r, nil
}

// encoder appends fields: integers big endian, lengths and counts as unsigned
// varints.
type encoder struct{ buf []byte }

func (e *encoder) int16(v int16)   { e.buf = binary.BigEndian.AppendUint16(e.buf, uint16(v)) }
func (e *encoder) int32(v int32)   { e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(v)) }
func (e *encoder) int64(v int64)   { e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(v)) }
func (e *encoder) count(n int)     { e.buf = binary.AppendUvarint(e.buf, uint64(n)) }
func (e *encoder) uuid(v [16]byte) { e.buf = append(e.buf, v[:]...) }

func (e *encoder) string(s string) {
	e.count(len(s))
	e.buf = append(e.buf, s...)
}

// nullable writes 0 for nil, else the length plus one and the bytes.
func (e *encoder) nullable(s *string) {
	if s == nil {
		e.count(0)
		return
	}
	e.count(len(*s) + 1)
	e.buf = append(e.buf, *s...)
}

// float writes 0 for nil, else 1 and the bits of the number.
func (e *encoder) float(v *float64) {
	e.flags(v != nil)
	if v != nil {
		e.int64(int64(math.Float64bits(*v)))
	}
}

func (e *encoder) varint(v int32) { e.buf = binary.AppendVarint(e.buf, int64(v)) }

func (e *encoder) varints(v []int32) {
	e.count(len(v))
	for _, n := range v {
		e.varint(n)
	}
}

func (e *encoder) uuids(all [][16]byte) {
	e.count(len(all))
	for _, id := range all {
		e.uuid(id)
	}
}

// flags writes up to eight booleans, the first in the lowest bit.
func (e *encoder) flags(set ...bool) {
	bits := byte(0)
	for i, is := range set {
		if is {
			bits |= 1 << i
		}
	}
	e.buf = append(e.buf, bits)
}

var errShort = errors.New("ends in the middle of a field")

// decoder reads what encoder wrote. After the first error every read yields
// zeros, so callers check err once, at the end.
type decoder struct {
	buf     []byte
	err     error
	lists   sharedLists
	scratch []int32
}

// take returns the next n bytes, nil where there are fewer.
func (d *decoder) take(n int) []byte {
	if d.err != nil || n > len(d.buf) {
		d.fail(errShort)
		return nil
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.buf = nil
}

func (d *decoder) int16() int16 {
	if b := d.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (d *decoder) int32() int32 {
	if b := d.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (d *decoder) int64() int64 {
	if b := d.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (d *decoder) uuid() (id [16]byte) {
	copy(id[:], d.take(len(id)))
	return id
}

// count reads the number of elements to follow, each of at least size bytes:
// more than the bytes left can hold is an error, before memory is taken.
func (d *decoder) count(size int) int {
	n, width := binary.Uvarint(d.buf)
	switch {
	case d.err != nil || width <= 0:
		d.fail(errShort)
		return 0
	case n > uint64((len(d.buf)-width)/size):
		d.fail(fmt.Errorf("counts %d elements in %d bytes", n, len(d.buf)-width))
		return 0
	}
	d.buf = d.buf[width:]
	return int(n)
}

func (d *decoder) string() string { return string(d.take(d.count(1))) }

func (d *decoder) nullable() *string {
	n, width := binary.Uvarint(d.buf)
	switch {
	case d.err != nil || width <= 0 || n > uint64(len(d.buf)):
		d.fail(errShort)
		return nil
	}
	d.buf = d.buf[width:]
	if n == 0 {
		return nil
	}
	s := string(d.take(int(n) - 1))
	return &s
}

func (d *decoder) float() *float64 {
	switch there := d.byte(); {
	case there > 1:
		d.fail(fmt.Errorf("whether there is a number says %d", there))
	case there == 1:
		v := math.Float64frombits(uint64(d.int64()))
		return &v
	}
	return nil
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uuids() [][16]byte {
	all := make([][16]byte, d.count(16))
	for i := range all {
		all[i] = d.uuid()
	}
	return all
}

func (d *decoder) varint() int32 {
	v, width := binary.Varint(d.buf)
	if d.err != nil || width <= 0 || int64(int32(v)) != v {
		d.fail(errShort)
		return 0
	}
	d.buf = d.buf[width:]
	return int32(v)
}

// varints reads a list, which may share its memory with an equal one.
func (d *decoder) varints() []int32 {
	start := d.buf
	list := d.scratch[:0]
	for range d.count(1) {
		list = append(list, d.varint())
	}
	d.scratch = list
	if d.err != nil {
		return nil
	}
	return d.lists.share(start[:len(start)-len(d.buf)], list)
}

// sharedLists holds the lists read so far by their bytes.
type sharedLists map[string][]int32

func (s sharedLists) share(b []byte, list []int32) []int32 {
	if shared, found := s[string(b)]; found {
		return shared
	}
	own := append(make([]int32, 0, len(list)), list...)
	s[string(b)] = own
	return own
}
